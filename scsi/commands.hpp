// SPDX-License-Identifier: Apache-2.0
// The commands of a logical unit, one file per family. The dispatch (logical_unit.cpp) has checked
// the CDB's length, NACA, unit attentions, that the unit is started and not write protected, as the
// opcode's entry in opcodes.cpp asks. Unit, queue and command outlive the call.
#pragma once

#include "lunkit/queue.hpp"
#include "lunkit/task.hpp"
#include "scsi/ending.hpp"
#include "scsi/logical_unit.hpp"
#include "scsi/unit.hpp"

namespace lunkit::scsi {

// inquiry.cpp
Task<Ending> inquiry(Unit& unit, Queue& queue, Command& command);

// capacity.cpp
Ending read_capacity_10(Unit& unit, Command& command);
Ending read_capacity_16(Unit& unit, Command& command);

// read_write.cpp: READ and WRITE (6), (10), (12), (16), (32)
Task<Ending> read_blocks(Unit& unit, Queue& queue, Command& command);
Task<Ending> read_blocks_of(Unit& unit, Queue& queue, Command& command, BlockCdb cdb);
Task<Ending> write_blocks(Unit& unit, Queue& queue, Command& command);

// verify.cpp: VERIFY and WRITE AND VERIFY (10), (12), (16), (32)
Task<Ending> verify(Unit& unit, Queue& queue, Command& command);
Task<Ending> write_and_verify(Unit& unit, Queue& queue, Command& command);

// synchronize_cache.cpp: also PRE-FETCH; both (10) and (16)
Task<Ending> synchronize_cache(Unit& unit, Queue& queue, Command& command);
Ending pre_fetch(Unit& unit, Command& command);

// unmap.cpp
Task<Ending> unmap(Unit& unit, Queue& queue, Command& command);

// write_same.cpp: (10), (16) and (32)
Task<Ending> write_same(Unit& unit, Queue& queue, Command& command);

// write_atomic.cpp
Task<Ending> write_atomic(Unit& unit, Queue& queue, Command& command);

// write_scattered.cpp
Task<Ending> write_scattered(Unit& unit, Queue& queue, Command& command);

// compare_and_write.cpp
Task<Ending> compare_and_write(Unit& unit, Queue& queue, Command& command);

// orwrite.cpp
Task<Ending> orwrite(Unit& unit, Queue& queue, Command& command);

// format_unit.cpp
Task<Ending> format_unit(Unit& unit, Queue& queue, Command& command);

// sanitize.cpp
Task<Ending> sanitize_overwrite(Unit& unit, Queue& queue, Command& command);
Task<Ending> sanitize_block_erase(Unit& unit, Queue& queue, Command& command);
Ending sanitize_exit_failure_mode(Unit& unit, Command& command);

// mode.cpp: (6) and (10)
Ending mode_sense(Unit& unit, Command& command);
Task<Ending> mode_select(Unit& unit, Queue& queue, Command& command);

// request_sense.cpp
Ending request_sense(Unit& unit, Command& command);

// start_stop.cpp
Ending test_unit_ready(Unit& unit, Command& command);
Task<Ending> start_stop_unit(Unit& unit, Queue& queue, Command& command);
Ending prevent_allow_medium_removal(Unit& unit, Command& command);

// echo_buffer.cpp
Ending write_buffer(Unit& unit, Command& command);
Ending read_buffer_10(Unit& unit, Command& command);

// diagnostics.cpp
Ending receive_diagnostic_results(Unit& unit, Command& command);
Task<Ending> send_diagnostic(Unit& unit, Queue& queue, Command& command);
Ending read_defect_data_10(Unit& unit, Command& command);
Ending read_defect_data_12(Unit& unit, Command& command);

// log.cpp
Task<Ending> log_sense(Unit& unit, Queue& queue, Command& command);
Ending log_select(Unit& unit, Command& command);

// lba_status.cpp
Task<Ending> get_lba_status_16(Unit& unit, Queue& queue, Command& command);

// multimedia.cpp: of a CD or DVD
Ending read_toc_pma_atip(Unit& unit, Command& command);
Ending get_configuration(Unit& unit, Command& command);
Ending get_event_status_notification(Unit& unit, Command& command);
Ending read_disc_information(Unit& unit, Command& command);
Ending mechanism_status(Unit& unit, Command& command);
Ending read_disc_structure(Unit& unit, Command& command);
Task<Ending> read_cd(Unit& unit, Queue& queue, Command& command);

// zones.cpp: of a zoned unit
Task<Ending> report_zones(Unit& unit, Queue& queue, Command& command);
Task<Ending> open_zone(Unit& unit, Queue& queue, Command& command);
Task<Ending> close_zone(Unit& unit, Queue& queue, Command& command);
Task<Ending> finish_zone(Unit& unit, Queue& queue, Command& command);
Task<Ending> reset_write_pointer(Unit& unit, Queue& queue, Command& command);

// extended_copy.cpp
Task<Ending> extended_copy_lid1(Unit& unit, Queue& queue, Command& command);
Task<Ending> extended_copy_lid4(Unit& unit, Queue& queue, Command& command);

// populate_token.cpp
Task<Ending> populate_token(Unit& unit, Queue& queue, Command& command);

// write_using_token.cpp
Task<Ending> write_using_token(Unit& unit, Queue& queue, Command& command);

// rod_token_information.cpp
Ending receive_rod_token_information(Unit& unit, Command& command);

// receive_copy_results.cpp
Ending receive_copy_status_lid1(Unit& unit, Command& command);
Ending receive_copy_operating_parameters(Unit& unit, Command& command);
Ending receive_copy_failure_details_lid1(Unit& unit, Command& command);
Ending receive_copy_status_lid4(Unit& unit, Command& command);

// report_opcodes.cpp
Ending report_supported_operation_codes(Unit& unit, Command& command);
Ending report_supported_task_management_functions(Unit& unit, Command& command);

// target_ports.cpp
Ending report_target_port_groups(Unit& unit, Command& command);
Ending report_luns(Unit& unit, Command& command);

}  // namespace lunkit::scsi
