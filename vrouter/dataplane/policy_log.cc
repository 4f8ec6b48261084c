// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/policy_log.h"

#include <rte_ring.h>
#include <rte_ring_elem.h>

namespace vr {

static_assert(sizeof(PolicyLogRecord) % 4 == 0, "the ring copies words");

Result<std::unique_ptr<PolicyLog>> PolicyLog::make(unsigned size) {
    rte_ring* ring = rte_ring_create_elem(
        "policy-log", sizeof(PolicyLogRecord), size, SOCKET_ID_ANY, RING_F_SC_DEQ);
    if (ring == nullptr) {
        return fail("cannot create the policy log ring: no memory");
    }
    return std::unique_ptr<PolicyLog>(new PolicyLog(ring));
}

PolicyLog::~PolicyLog() {
    rte_ring_free(ring_);
}

void PolicyLog::push(const PolicyLogRecord& record) noexcept {
    PolicyLogRecord copy = record;
    if (rte_ring_mp_enqueue_elem(ring_, &copy, sizeof copy) != 0) {
        lost_.fetch_add(1, std::memory_order_relaxed);
    }
}

bool PolicyLog::pop(PolicyLogRecord& record) noexcept {
    return rte_ring_sc_dequeue_elem(ring_, &record, sizeof record) == 0;
}

}  // namespace vr
