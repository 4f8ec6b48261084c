// How the section `etcd` of a config file's `datastore` is read, for every program that has one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vrouter/etcd_config.h"
#include "vrouter/yaml_section.h"

namespace vr {

/// Takes every key of the section; `config` holds what counts where one is absent.
[[nodiscard]] EtcdConfig read_etcd(YamlSection& yaml, EtcdConfig config);

}  // namespace vr
