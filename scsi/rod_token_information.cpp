// SPDX-License-Identifier: Apache-2.0
// RECEIVE ROD TOKEN INFORMATION (SPC-4 6.26, SBC-4 5.25).
#include "scsi/commands.hpp"
#include "scsi/copy_status.hpp"
#include "scsi/parameter_data.hpp"
#include "scsi/rod_token.hpp"

namespace lunkit::scsi {

// The token is told as often as it is asked for while it is held: an answer may get lost on its
// way.
Ending receive_rod_token_information(Unit& unit, Command& command) {
    constexpr std::size_t kListIdentifierAt = 2;
    const Cdb cdb(command.cdb);
    CopyResult* const result =
        unit.copies.results.find(cdb.be32(kListIdentifierAt), unit.options.now());
    if (result == nullptr) {
        return invalid_field_in_cdb(kListIdentifierAt);
    }
    const RodToken* const token =
        result->state == CopyResult::State::kEnded && result->token_identifier
            ? unit.copies.tokens.find_identifier(*result->token_identifier)
            : nullptr;
    ParameterData data;
    put_copy_status(data, unit, *result);
    if (token == nullptr) {
        data.be32(0);
    } else {
        data.be32(2 + kRodTokenLength).be16(0).bytes(token->bytes());
    }
    data.set(0, data.size() - 4, 4);
    deliver(command, data.view(), cdb.be32(10));
    result->is_token_told =
        result->is_token_told || (token != nullptr && command.data_in_length == data.size());
    return good();
}

}  // namespace lunkit::scsi
