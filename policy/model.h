// The model: Calico's v3 objects as types, in the words of POLICY 2.
//
// Plain values that compare; everything in them has been checked by resource.cc.  Selectors and
// rules are kept as written: what they mean together is the business of scope.h and compiler.h.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policy/bgp_model.h"
#include "policy/selector.h"
#include "vrouter/dataplane/acl.h"
#include "vrouter/dataplane/host_hook.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"
#include "vrouter/workload.h"

namespace vr::policy {

enum class Kind : std::uint8_t {
    BGPConfiguration,
    BGPFilter,
    BGPPeer,
    ClusterInformation,
    EndpointSlice,
    FelixConfiguration,
    GlobalNetworkPolicy,
    GlobalNetworkSet,
    HostEndpoint,
    IPPool,
    IPReservation,
    LiveMigration,
    NetworkPolicy,
    NetworkSet,
    Node,
    Profile,
    StagedGlobalNetworkPolicy,
    StagedKubernetesNetworkPolicy,
    StagedNetworkPolicy,
    Tier,
    WorkloadEndpoint,
};

struct KindRow {
    Kind kind;
    std::string_view name;    ///< "NetworkPolicy"
    std::string_view plural;  ///< "networkpolicies", as in datastore keys
    bool namespaced;
};

/// Every kind that is acted upon, sorted by name.
[[nodiscard]] std::span<const KindRow> kinds();
[[nodiscard]] const KindRow& row_of(Kind kind);
/// By name or plural, in any case.
[[nodiscard]] std::optional<Kind> find_kind(std::string_view text);

/// What makes an object unique.
struct Key {
    Kind kind = Kind::WorkloadEndpoint;
    std::string ns;  ///< empty for kinds without a namespace
    std::string name;

    friend auto operator<=>(const Key&, const Key&) = default;
};

/// What is wrong with a datastore's key that is where objects of `kind` are, but names none.
[[nodiscard]] std::string misnamed(Kind kind);

/// "NetworkPolicy prod/web", "Profile kns.prod"
[[nodiscard]] std::string to_string(const Key& key);

enum class Direction : std::uint8_t { Ingress, Egress };

// --- rules ----------------------------------------------------------------------------------

/// Port of an endpoint that rules may name.
struct NamedPort {
    std::string name;
    std::uint8_t protocol = 0;
    L4Port port;

    friend bool operator==(const NamedPort&, const NamedPort&) = default;
};

/// A rule's port: numbers, or the name of a NamedPort.
using PortMatch = std::variant<acl::PortRange, std::string>;

struct Protocol {
    std::uint8_t number = 0;
    bool by_name = false;  ///< ICMP and ICMPv6 imply their family only when named

    friend bool operator==(const Protocol&, const Protocol&) = default;
};

struct ServiceAccounts {
    std::vector<std::string> names;
    std::optional<Selector> selector;

    friend bool operator==(const ServiceAccounts&, const ServiceAccounts&) = default;
};

/// A Kubernetes service, POLICY 2.3.
struct ServiceMatch {
    std::string name;
    std::string ns;           ///< empty: the policy's
    bool with_ports = false;  ///< destinations match the service's ports, too

    friend bool operator==(const ServiceMatch&, const ServiceMatch&) = default;
};

/// Source or destination of a rule; empty means no criterion.
struct EntityMatch {
    std::vector<IpPrefix> nets;
    std::vector<IpPrefix> not_nets;
    std::optional<Selector> selector;
    std::optional<Selector> not_selector;
    std::optional<Selector> namespace_selector;
    std::optional<ServiceAccounts> service_accounts;
    std::optional<ServiceMatch> service;
    std::vector<PortMatch> ports;
    std::vector<PortMatch> not_ports;

    friend bool operator==(const EntityMatch&, const EntityMatch&) = default;
};

struct RuleMatch {
    std::optional<int> ip_version;  ///< 4 or 6
    std::optional<Protocol> protocol;
    std::optional<Protocol> not_protocol;
    std::optional<acl::IcmpMatch> icmp;
    std::optional<acl::IcmpMatch> not_icmp;
    EntityMatch source;
    EntityMatch destination;

    friend bool operator==(const RuleMatch&, const RuleMatch&) = default;
};

/// Reject is a Deny with annotation vrouter.io/action: the sender is told.
enum class RuleAction : std::uint8_t { Allow, Deny, Reject, Log, Pass };

struct Rule {
    RuleAction action = RuleAction::Deny;
    RuleMatch match;

    friend bool operator==(const Rule&, const Rule&) = default;
};

// --- objects --------------------------------------------------------------------------------

struct WorkloadEndpoint {
    std::string orchestrator;
    std::string node;
    std::string workload;  ///< with `endpoint`: how a LiveMigration names it; of a pod: `pod`
    std::string pod;
    std::string endpoint;
    std::string interface_name;
    std::optional<Mac> mac;
    std::vector<IpPrefix> networks;         ///< empty: the endpoint is ignored, POLICY 2.2
    std::vector<FloatingAddress> floating;  ///< ipNATs; no selector finds an endpoint by them
    std::vector<IpPrefix> spoofable;  ///< allowSpoofedSourcePrefixes; no selector finds it by them
    QosControls qos;                  ///< as written and as annotated, with defaults
    std::vector<std::string> profiles;
    std::vector<NamedPort> ports;
    std::string service_account;
    bool active = true;
    Attachment attachment;
    std::optional<std::uint32_t> route_priority;  ///< of its host routes; absent: the host's

    friend bool operator==(const WorkloadEndpoint&, const WorkloadEndpoint&) = default;
};

/// What a WorkloadEndpoint is called by who migrates it: in Calico's older words.
struct EndpointName {
    std::string host;
    std::string orchestrator;
    std::string workload;  ///< "namespace/workload"
    std::string endpoint;

    friend auto operator<=>(const EndpointName&, const EndpointName&) = default;
};

/// A guest is on its way from one endpoint to another.
struct LiveMigration {
    EndpointName source;
    EndpointName target;

    friend bool operator==(const LiveMigration&, const LiveMigration&) = default;
};

/// What a HostEndpoint's interfaceName may be besides a name: every interface without one of its own.
inline constexpr std::string_view kAllInterfaces = "*";

struct HostEndpoint {
    std::string node;
    std::string interface_name;          ///< or kAllInterfaces; empty: the one with an expected IP
    std::vector<IpPrefix> expected_ips;  ///< single addresses
    std::vector<std::string> profiles;
    std::vector<NamedPort> ports;
    std::optional<std::uint8_t> dscp;  ///< of what the host itself sends out of the cluster there
    /// Stands in for an invalid one: no normal policy counts and no profile, failsafe ports alone.
    bool closed = false;
    /// False: no set has its addresses and ports, because not all of its labels could be read.
    bool lends = true;

    friend bool operator==(const HostEndpoint&, const HostEndpoint&) = default;
};

/// A port of the host that no policy can close, POLICY 2.6.
struct FailsafePort {
    std::uint8_t protocol = 0;
    L4Port port;
    std::optional<IpPrefix> net;  ///< of the peer; absent: any

    friend auto operator<=>(const FailsafePort&, const FailsafePort&) = default;
};

struct FelixConfiguration {
    std::optional<std::vector<FailsafePort>> failsafe_inbound;
    std::optional<std::vector<FailsafePort>> failsafe_outbound;
    std::optional<EndpointToHost> endpoint_to_host;
    std::optional<bool> allow_vxlan;         ///< packets of workloads
    std::optional<bool> allow_ipip;          ///< the same
    std::optional<bool> skip_invalid_check;  ///< disableConntrackInvalidCheck
    std::optional<bool> reject;              ///< iptablesFilterDenyAction
    /// Interfaces are called "tap...": how networking-calico says that this is an OpenStack cloud.
    std::optional<bool> tap_interfaces;
    std::optional<std::optional<IpAddr>> metadata_address;  ///< the inner one absent: "none"
    std::optional<L4Port> metadata_port;
    std::optional<bool> floating;  ///< floatingIPs
    std::optional<std::optional<acl::PortRange>>
        nat_ports;                                     ///< natPortRange; the inner one absent: "0"
    std::optional<std::optional<IpAddr>> nat_address;  ///< natOutgoingAddress; the same: ""
    std::optional<bool> nat_spares_hosts;              ///< natOutgoingExclusions
    std::optional<bool> spoofing;                      ///< workloadSourceSpoofing
    std::optional<std::string> log_prefix;             ///< logPrefix
    std::optional<double> log_rate;                    ///< logActionRateLimit, lines a second
    std::optional<std::uint32_t> log_burst;            ///< logActionRateLimitBurst
    std::optional<int> migration_seconds;              ///< liveMigrationRouteConvergenceTime
    std::optional<std::uint32_t> elevated_priority4;   ///< ipv4ElevatedRoutePriority
    std::optional<std::uint32_t> elevated_priority6;   ///< ipv6ElevatedRoutePriority

    friend bool operator==(const FelixConfiguration&, const FelixConfiguration&) = default;
};

/// Directions that a policy governs (types).
enum class Governs : std::uint8_t { Ingress, Egress, Both };

[[nodiscard]] constexpr bool governs(Governs types, Direction direction) {
    return types == Governs::Both ||
           (types == Governs::Ingress) == (direction == Direction::Ingress);
}

/// When a GlobalNetworkPolicy acts, POLICY 2.6; all but Normal are for host endpoints only.
enum class Hook : std::uint8_t { Normal, Untracked, PreDnat };

/// What a staged policy would do if it were in force; it never acts.  POLICY 2.5 step 6.
enum class Staged : std::uint8_t {
    No,       ///< an ordinary policy
    Set,      ///< take the place of the policy of its name, or stand beside the others
    Delete,   ///< take the policy of its name away
    Nothing,  ///< Learn, Ignore
};

/// NetworkPolicy and GlobalNetworkPolicy, and their staged kinds.
struct Policy {
    std::string name;  ///< as written by the user; the stored name may carry "default."
    std::string tier = "default";
    std::optional<double> order;  ///< absent: last
    Selector selector;
    std::optional<Selector> namespace_selector;
    std::optional<Selector> service_account_selector;
    Governs types = Governs::Both;
    std::vector<Rule> ingress;
    std::vector<Rule> egress;
    Hook hook = Hook::Normal;
    Staged staged = Staged::No;
    bool apply_on_forward = false;  ///< for host endpoints: what they forward, too

    [[nodiscard]] const std::vector<Rule>& rules(Direction direction) const {
        return direction == Direction::Ingress ? ingress : egress;
    }

    friend bool operator==(const Policy&, const Policy&) = default;
};

struct Profile {
    std::vector<Rule> ingress;
    std::vector<Rule> egress;
    Labels labels_to_apply;
    bool closed = false;  ///< stands in for an invalid one: denies, and lends its labels
    /// Of such a one: nobody can tell which, so an endpoint that names it is closed: a policy that was to guard it may not.
    bool labels_unread = false;

    [[nodiscard]] const std::vector<Rule>& rules(Direction direction) const {
        return direction == Direction::Ingress ? ingress : egress;
    }

    friend bool operator==(const Profile&, const Profile&) = default;
};

/// What happens at the end of a tier, POLICY 2.5 step 6.
enum class TierDefault : std::uint8_t { Deny, Pass };

struct Tier {
    std::optional<double> order;  ///< absent: last
    TierDefault default_action = TierDefault::Deny;
    /// Stands in for one whose order nobody could read: before all others, so none of its rules may
    /// count there; what a policy of it governs is denied.
    bool closed = false;

    friend bool operator==(const Tier&, const Tier&) = default;
};

/// NetworkSet and GlobalNetworkSet.
struct NetworkSet {
    std::vector<IpPrefix> nets;

    friend bool operator==(const NetworkSet&, const NetworkSet&) = default;
};

/// A part of the members of a Kubernetes service.
struct EndpointSlice {
    std::string service;  ///< name; its namespace is the slice's
    std::vector<IpPrefix> addresses;
    std::vector<NamedPort> ports;  ///< each of the name kServicePort

    friend bool operator==(const EndpointSlice&, const EndpointSlice&) = default;
};

/// How the ports of services are called, so that rules match them like named ports: no port of an
/// endpoint can have this name.
inline constexpr std::string_view kServicePort = "*";

struct IpPool {
    IpPrefix cidr;
    int block_size = 0;  ///< 0: the family's default, 26 or 122
    bool nat_outgoing = false;
    bool disabled = false;
    bool disable_bgp_export = false;
    Selector node_selector;
    std::vector<std::string> allowed_uses;

    friend bool operator==(const IpPool&, const IpPool&) = default;
};

/// Whether a datastore is to be believed: read by etcd/sync, where alone it means something.
struct ClusterInformation {
    bool ready = false;

    friend bool operator==(const ClusterInformation&, const ClusterInformation&) = default;
};

/// Addresses that no block gives away.  Read by those who allocate (ipam/); no host acts upon it.
struct IpReservation {
    std::vector<IpPrefix> nets;

    friend bool operator==(const IpReservation&, const IpReservation&) = default;
};

/// A Calico Node.
struct ClusterNode {
    std::optional<Asn> as_number;
    std::optional<Ip4> address4;  ///< spec.bgp.ipv4Address without its length
    std::optional<Ip6> address6;
    std::optional<Ip4> route_reflector_cluster;
    std::vector<IpAddr> addresses;  ///< spec.addresses, whatever they are for

    friend bool operator==(const ClusterNode&, const ClusterNode&) = default;
};

using Spec = std::variant<
    BgpConfiguration,
    BgpFilter,
    BgpPeer,
    ClusterInformation,
    ClusterNode,
    EndpointSlice,
    FelixConfiguration,
    HostEndpoint,
    IpPool,
    IpReservation,
    LiveMigration,
    NetworkSet,
    Policy,
    Profile,
    Tier,
    WorkloadEndpoint>;

struct Resource {
    Key key;
    Labels labels;
    Spec spec;

    template <typename T>
    [[nodiscard]] const T& as() const {
        return std::get<T>(spec);
    }

    friend bool operator==(const Resource&, const Resource&) = default;
};

using ResourcePtr = std::shared_ptr<const Resource>;

/// The key of what a staged policy would replace; `key` itself for others.
[[nodiscard]] Key enforced_key(const Key& key);

/// Whether policies that are staged count.
enum class View : std::uint8_t {
    Enforced,
    Preview,  ///< as if all staged policies were in force
};

/// The profile that allows everything and is never stored, POLICY 2.5 step 7.
inline constexpr std::string_view kDefaultAllowProfile = "projectcalico-default-allow";

/// The tiers that exist without a Tier object, POLICY 2.5.
[[nodiscard]] std::optional<Tier> built_in_tier(std::string_view name);

}  // namespace vr::policy
