// How the section `etcd` of a config file's `datastore` is read, for every program that has one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vrouter/etcd_config.h"
#include "vrouter/yaml_section.h"

namespace vr {

/// Takes the keys that say how etcd is reached and what is kept of it; what a program alone knows
/// (region, write_node) it reads itself.  `config` holds what counts where a key is absent.
[[nodiscard]] EtcdConfig read_etcd(YamlSection& yaml, EtcdConfig config);

}  // namespace vr
