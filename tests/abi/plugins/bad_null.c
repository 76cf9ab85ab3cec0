/* SPDX-License-Identifier: Apache-2.0 */
/* Says that it cannot work here. */
#include "handler.h"

const struct lunkit_handler *lunkit_handler_entry(const struct lunkit_host *host) {
    (void)host;
    return NULL;
}
