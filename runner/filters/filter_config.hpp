// SPDX-License-Identifier: Apache-2.0
// FilterConfig: the keys of a configuration string that belong to filters.
//
//   file//srv/disk.img;direct=on;filter.delay.read=5ms;filter.error.rate=1%
//   `----------------------------'`-------------------------------------'
//    what the handler gets         two filters, delay nearer to the handler
//
// Every key that begins with "filter." is one of ours and never reaches a handler. The filters
// stack in the order in which the first key of each is named.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "filters/delay.hpp"
#include "filters/error.hpp"
#include "filters/part.hpp"
#include "filters/throttle.hpp"
#include "filters/trace.hpp"
#include "lunkit/result.hpp"

namespace lunkit::filters {

using FilterOptions =
    std::variant<DelayOptions, ErrorOptions, PartOptions, ThrottleOptions, TraceOptions>;

struct FilterConfig {
    /// `config`: what follows "<handler>/". EINVAL: a sentence that names the key.
    static Result<FilterConfig> parse(std::string_view config);

    std::string handler;               ///< `config` without our keys
    bool read_only = false;            ///< filter.readonly: how the handler is opened
    std::vector<FilterOptions> stack;  ///< the first one is nearest to the handler
};

}  // namespace lunkit::filters
