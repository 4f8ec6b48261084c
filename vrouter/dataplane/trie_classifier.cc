// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/trie_classifier.h"

#include <fmt/format.h>
#include <rte_acl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vrouter/dataplane/family_rules.h"
#include "vrouter/dataplane/group_map.h"
#include "vrouter/dataplane/rule_boxes.h"
#include "vrouter/net/byte_order.h"

namespace vr::acl {
namespace {

/// Parts of a program that are searched on their own.
constexpr unsigned kMostSegments = RTE_ACL_MAX_CATEGORIES;
/// Groups of one side that rules must not find: bits of half a word.
constexpr unsigned kMostNotGroups = 16;
/// Lists and negations multiply.  rte_acl's build knows no other bound on its time and on the ordinary
/// memory that it works in, and both grow with these.
constexpr std::size_t kMostBoxes = 16'384;
/// Keys that one packet may have to be looked up by where rules name groups of both sides: the product of
/// its addresses' groups.  Groups of one side cost no more than the bit vectors' rows of them.
constexpr std::size_t kMostKeys = 256;
/// What the tries of one classifier may take of DPDK's memory at most, and which part of what is free:
/// packet buffers and rings live there too.
constexpr std::size_t kMostBytes = std::size_t{64} << 20U;
constexpr std::size_t kPartOfFree = 4;

/// What rte_acl sees of a packet, in network order.  It reads whole words.
struct Key {
    std::uint8_t protocol;
    std::array<std::uint8_t, 3> unread0;
    std::uint8_t has_ports;
    std::uint8_t icmp_type;
    std::uint8_t icmp_code;
    std::uint8_t unread1;
    std::array<Be16, 2> ports;
    std::array<Be16, 2> groups;      ///< the number of one group of each side, 0: none
    std::array<Be16, 2> not_groups;  ///< a bit for each group that rules must not find
    std::array<std::array<std::uint8_t, 16>, 2> addresses;  ///< IPv4: in the first four
};

static_assert(sizeof(Key) == 52 && alignof(Key) == 1);

/// One rte_acl rule of the largest key.
constexpr unsigned kMostFields = 19;
RTE_ACL_RULE_DEF(TrieRule, kMostFields);
// Values are written whole, and read as wide as the field is.
static_assert(std::endian::native == std::endian::little);

/// What of DPDK's memory may be used.  Huge pages are added as they are needed; without them there is
/// no more than what the EAL was started with.
std::size_t bytes_allowed() {
    if (rte_eal_has_hugepages() != 0) {
        return kMostBytes;
    }
    std::size_t most = kMostBytes;
    for (unsigned i = 0; i < rte_socket_count(); ++i) {
        rte_malloc_socket_stats stats{};
        const int socket = rte_socket_id_by_idx(i);
        if (rte_malloc_get_socket_stats(socket, &stats) == 0 && stats.heap_totalsz_bytes != 0) {
            most = std::min(most, stats.heap_freesz_bytes / kPartOfFree);
        }
    }
    return most;
}

/// How fields of rules lie in keys: only words that some rule asks about are looked at.
class Layout {
  public:
    /// A whole byte, half word or word of the key; returns the field's number.
    unsigned add(std::uint8_t type, std::size_t offset, std::uint8_t size) {
        const auto field = static_cast<std::uint8_t>(config_.num_fields++);
        // After the first byte, rte_acl takes four at a time; offsets of words tell them apart.
        const auto word = static_cast<std::uint32_t>(field == 0 ? 0 : offset / 4 * 4);
        if (field != 0 && (field == 1 || word != last_word_)) {
            ++words_;
        }
        last_word_ = word;
        config_.defs[field] = {
            .type = type,
            .size = size,
            .field_index = field,
            .input_index = static_cast<std::uint8_t>(words_),
            .offset = static_cast<std::uint32_t>(offset)};
        return field;
    }

    [[nodiscard]] rte_acl_config config(unsigned categories, std::size_t most_bytes) const {
        rte_acl_config config = config_;
        config.num_categories = categories;
        config.max_size = most_bytes;
        return config;
    }

    [[nodiscard]] unsigned fields() const noexcept { return config_.num_fields; }

  private:
    rte_acl_config config_{};
    std::uint32_t last_word_ = 0;
    unsigned words_ = 0;
};

/// What a group means to one side of the rules.
struct GroupNumber {
    std::uint16_t number = 0;  ///< 0: no rule wants it
    std::uint16_t bit = 0;     ///< 0: no rule minds it
};

/// One side's groups: numbered for the key.
class GroupNumbers {
  public:
    [[nodiscard]] Result<void> build(const RuleList& rules, SideMatch Match::* side) {
        for (const Rule* rule : rules) {
            const SideMatch& match = rule->match.*side;
            if (match.group && named_[*match.group].number == 0) {
                named_[*match.group].number = static_cast<std::uint16_t>(++wanted_);
            }
            if (match.not_group && named_[*match.not_group].bit == 0) {
                named_[*match.not_group].bit = static_cast<std::uint16_t>(1U << unwanted_ % 16);
                ++unwanted_;
            }
        }
        if (unwanted_ > kMostNotGroups) {
            return fail("too many groups are excluded");
        }
        if (wanted_ > UINT16_MAX) {
            return fail("rules name too many groups");
        }
        map_ = GroupMap<GroupNumber>(named_);
        return {};
    }

    /// How many groups are asked for.
    [[nodiscard]] std::size_t wanted() const noexcept { return wanted_; }

    [[nodiscard]] bool unwanted() const noexcept { return unwanted_ != 0; }

    [[nodiscard]] bool present() const noexcept { return !map_.empty(); }

    /// While building.
    [[nodiscard]] GroupNumber at(GroupId id) const { return named_.at(id); }

    [[nodiscard]] const GroupNumber* find(GroupId id) const noexcept { return map_.find(id); }

  private:
    std::map<GroupId, GroupNumber> named_;
    std::size_t wanted_ = 0;
    std::size_t unwanted_ = 0;
    GroupMap<GroupNumber> map_;
};

/// The program cut where a search may have to begin: at the targets of jumps and behind Log rules.
class Segments {
  public:
    void build(const std::vector<Step>& steps) {
        std::vector<bool> cut(steps.size() + 1);
        for (std::size_t i = 0; i < steps.size(); ++i) {
            if (steps[i].action == Action::Log) {
                cut[i + 1] = true;
            } else if (steps[i].action == Action::Jump) {
                cut[steps[i].target] = true;
            }
        }
        for (std::size_t i = 0; i <= steps.size(); ++i) {
            count_ += i != 0 && cut[i] ? 1U : 0U;
            of_.push_back(count_);
        }
        // A cut behind the last rule begins nothing.
        count_ = steps.empty() ? 0 : of_[steps.size() - 1] + 1;
    }

    [[nodiscard]] unsigned count() const noexcept { return count_; }

    /// That of a position.
    [[nodiscard]] unsigned of(std::size_t position) const noexcept { return of_[position]; }

  private:
    std::vector<unsigned> of_;
    unsigned count_ = 0;
};

/// Owns an rte_acl context.
struct FreeContext {
    void operator()(rte_acl_ctx* context) const noexcept { rte_acl_free(context); }
};

using Context = std::unique_ptr<rte_acl_ctx, FreeContext>;

constexpr std::array kSides{&Match::source, &Match::destination};

template <Family F>
class TrieClassifier final : public Classifier<F> {
  public:
    TrieClassifier(const std::shared_ptr<const Program>& program, unsigned workers)
        : Classifier<F>(program, workers), rules_(*program) {
        segments_.build(rules_.steps);
    }

    /// To be called once.
    [[nodiscard]] Result<void> build(RefusedSizes* refused);

    void classify(
        const Packet<F>* packets,
        const GroupSet* const* source_groups,
        const GroupSet* const* destination_groups,
        Verdict* verdicts,
        unsigned count,
        Counter* hits) const noexcept override;

    [[nodiscard]] Engine engine() const noexcept override { return Engine::RteAcl; }

  private:
    static constexpr unsigned kBatch = 32;
    static constexpr unsigned kKeys = 64;
    static constexpr unsigned kMostNumbers = 16;  ///< groups of an address that are asked at once

    /// The position + 1 of the first rule that matched, by segment.
    using Found = std::array<std::uint32_t, kMostSegments>;

    /// Keys that are looked up together.
    struct Round {
        std::array<Key, kKeys> keys;
        std::array<std::uint8_t, kKeys> owner;
        unsigned count = 0;
        std::array<Found, kBatch> found;
    };

    /// What an address's groups are to the rules.
    struct Numbers {
        std::array<std::uint16_t, kMostNumbers> wanted;
        unsigned count = 0;
        std::uint16_t unwanted = 0;
        const GroupSet* rest = nullptr;  ///< set: it has more, ask it one by one
    };

    [[nodiscard]] Result<std::vector<TrieRule>> expand();
    [[nodiscard]] Result<void> expand(std::size_t position, std::vector<TrieRule>& out) const;
    [[nodiscard]] Result<void> build(const std::vector<TrieRule>& rules);
    void lay_out();
    void fill_address(TrieRule& rule, unsigned side, const Prefix<F>& prefix) const;
    void ask(unsigned side, const GroupSet& set, Numbers& numbers) const noexcept;
    template <typename Visit>
    void for_each_number(unsigned side, const Numbers& numbers, Visit visit) const noexcept;
    void look_up(Round& round) const noexcept;
    [[nodiscard]] Verdict follow(const Found& found, Counter* hits) const noexcept;

    FamilyRules<F> rules_;
    Segments segments_;
    unsigned categories_ = 1;
    std::array<GroupNumbers, 2> groups_;
    Layout layout_;
    // Numbers of fields; 0: no rule asks.
    unsigned flags_field_ = 0;
    unsigned ports_field_ = 0;
    unsigned groups_field_ = 0;
    unsigned not_groups_field_ = 0;
    std::array<unsigned, 2> address_field_{};
    Context context_;
};

template <Family F>
void TrieClassifier<F>::lay_out() {
    const auto asks = [&](const auto& predicate) {
        return std::ranges::any_of(
            rules_.list, [&](const Rule* rule) { return predicate(rule->match); });
    };
    constexpr auto kRange = RTE_ACL_FIELD_TYPE_RANGE;
    constexpr auto kBits = RTE_ACL_FIELD_TYPE_BITMASK;
    (void)layout_.add(kRange, offsetof(Key, protocol), 1);
    const auto has_ports = [](const Match& match) {
        return std::ranges::any_of(kSides, [&](auto side) {
            return !(match.*side).ports.empty() || !(match.*side).not_ports.empty();
        });
    };
    if (asks([&](const Match& m) { return m.icmp || m.not_icmp || has_ports(m); })) {
        flags_field_ = layout_.add(kRange, offsetof(Key, has_ports), 1);
        (void)layout_.add(kRange, offsetof(Key, icmp_type), 1);
        (void)layout_.add(kRange, offsetof(Key, icmp_code), 1);
        (void)layout_.add(kRange, offsetof(Key, unread1), 1);
    }
    if (asks(has_ports)) {
        ports_field_ = layout_.add(kRange, offsetof(Key, ports), 2);
        (void)layout_.add(kRange, offsetof(Key, ports) + 2, 2);
    }
    if (groups_[0].wanted() + groups_[1].wanted() != 0) {
        groups_field_ = layout_.add(kBits, offsetof(Key, groups), 2);
        (void)layout_.add(kBits, offsetof(Key, groups) + 2, 2);
    }
    if (groups_[0].unwanted() || groups_[1].unwanted()) {
        not_groups_field_ = layout_.add(kBits, offsetof(Key, not_groups), 2);
        (void)layout_.add(kBits, offsetof(Key, not_groups) + 2, 2);
    }
    for (unsigned side = 0; side < 2; ++side) {
        const bool asked =
            asks([&](const Match& m) { return asks_for_address<F>(m.*kSides[side]); });
        for (unsigned word = 0; asked && word < F::kBits / 32; ++word) {
            const unsigned field = layout_.add(
                RTE_ACL_FIELD_TYPE_MASK, offsetof(Key, addresses) + 16 * side + 4 * word, 4);
            address_field_[side] = word == 0 ? field : address_field_[side];
        }
    }
}

template <Family F>
void TrieClassifier<F>::fill_address(TrieRule& rule, unsigned side, const Prefix<F>& prefix) const {
    std::array<std::uint8_t, 16> bytes{};
    prefix.address().store(bytes.data());
    for (unsigned word = 0; word < F::kBits / 32; ++word) {
        rte_acl_field& field = rule.field[address_field_[side] + word];
        field.value.u64 = load_be<std::uint32_t>(bytes.data() + 4 * word);
        const unsigned before = 32 * word;
        field.mask_range.u64 =
            prefix.length() <= before ? 0 : std::min(32U, prefix.length() - before);
    }
}

/// The boxes of one rule, as rte_acl's rules.
template <Family F>
Result<void> TrieClassifier<F>::expand(std::size_t position, std::vector<TrieRule>& out) const {
    const Match& match = rules_.list[position]->match;
    const auto headers = header_boxes(match, kIcmp<F>);
    const std::array prefixes{
        address_prefixes<F>(match.source), address_prefixes<F>(match.destination)};
    if (headers.size() * prefixes[0].size() * prefixes[1].size() > kMostBoxes - out.size()) {
        return fail(fmt::format("its lists multiply to more than {} entries", kMostBoxes));
    }
    TrieRule rule;
    std::memset(&rule, 0, sizeof rule);  // {} promises zeros in the first member of a union only
    rule.data.category_mask = 1U << segments_.of(position);
    rule.data.priority = static_cast<std::int32_t>(rules_.list.size() - position);
    rule.data.userdata = static_cast<std::uint32_t>(position + 1);
    for (unsigned side = 0; side < 2; ++side) {
        const SideMatch& wanted = match.*kSides[side];
        if (wanted.group) {
            auto& field = rule.field[groups_field_ + side];
            field.value.u64 = groups_[side].at(*wanted.group).number;
            field.mask_range.u64 = UINT16_MAX;
        }
        if (wanted.not_group) {
            rule.field[not_groups_field_ + side].mask_range.u64 =
                groups_[side].at(*wanted.not_group).bit;
        }
    }
    const auto set = [&](unsigned field, Interval interval) {
        rule.field[field].value.u64 = interval.first;
        rule.field[field].mask_range.u64 = interval.last;
    };
    for (const HeaderBox& header : headers) {
        set(0, header[kProtocol]);
        if (flags_field_ != 0) {
            set(flags_field_, header[kHasPorts]);
            set(flags_field_ + 1, header[kIcmpType]);
            set(flags_field_ + 2, header[kIcmpCode]);
            set(flags_field_ + 3, {0, 255});
        }
        if (ports_field_ != 0) {
            set(ports_field_, header[kSourcePort]);
            set(ports_field_ + 1, header[kDestinationPort]);
        }
        for (const Prefix<F>& source : prefixes[0]) {
            for (const Prefix<F>& destination : prefixes[1]) {
                if (address_field_[0] != 0) {
                    fill_address(rule, 0, source);
                }
                if (address_field_[1] != 0) {
                    fill_address(rule, 1, destination);
                }
                out.push_back(rule);
            }
        }
    }
    return {};
}

template <Family F>
Result<std::vector<TrieRule>> TrieClassifier<F>::expand() {
    std::vector<TrieRule> rules;
    for (std::size_t position = 0; position < rules_.list.size(); ++position) {
        if (auto done = expand(position, rules); !done) {
            return std::unexpected(done.error());
        }
    }
    if (rules.empty()) {
        return fail("no rule can match");
    }
    return rules;
}

template <Family F>
Result<void> TrieClassifier<F>::build(RefusedSizes* refused) {
    if (segments_.count() > kMostSegments) {
        return fail("it passes and logs too often");
    }
    categories_ = segments_.count() <= 1 ? 1 : (segments_.count() + 3) / 4 * 4;
    for (unsigned side = 0; side < 2; ++side) {
        if (auto done = groups_[side].build(rules_.list, kSides[side]); !done) {
            return done;
        }
    }
    if (groups_[0].wanted() > 1 && groups_[1].wanted() > 1 &&
        groups_[0].wanted() * groups_[1].wanted() > kMostKeys) {
        return fail("rules name too many groups of both sides");
    }
    lay_out();
    const auto rules = expand();
    if (!rules) {
        return std::unexpected(rules.error());
    }
    if (refused != nullptr && refused->contains(F::kVersion, rules->size())) {
        return fail("rte_acl could not build one of its size before");
    }
    auto built = build(*rules);
    if (!built && refused != nullptr) {
        refused->add(F::kVersion, rules->size());
    }
    return built;
}

template <Family F>
Result<void> TrieClassifier<F>::build(const std::vector<TrieRule>& rules) {
    const std::size_t rule_size = RTE_ACL_RULE_SZ(layout_.fields());
    const std::size_t most_bytes = bytes_allowed();
    if (rules.size() * rule_size >= most_bytes) {
        return fail("too little of DPDK's memory is free for its rules");
    }
    // Unique among contexts that live: creating one of a known name would return that one.
    const std::string name = fmt::format("vr-{}", fmt::ptr(this));
    const rte_acl_param param{
        .name = name.c_str(),
        .socket_id = SOCKET_ID_ANY,
        .rule_size = static_cast<std::uint32_t>(rule_size),
        .max_rule_num = static_cast<std::uint32_t>(rules.size())};
    context_.reset(rte_acl_create(&param));
    if (!context_) {
        return fail("no memory for its rules");
    }
    for (const TrieRule& rule : rules) {
        if (rte_acl_add_rules(context_.get(), reinterpret_cast<const rte_acl_rule*>(&rule), 1) !=
            0) {
            return fail("rte_acl refuses a rule");
        }
    }
    const rte_acl_config config =
        layout_.config(categories_, most_bytes - rules.size() * rule_size);
    if (const int error = rte_acl_build(context_.get(), &config); error != 0) {
        return fail(fmt::format("rte_acl cannot build it: {}", rte_strerror(-error)));
    }
    return {};
}

template <Family F>
void TrieClassifier<F>::ask(unsigned side, const GroupSet& set, Numbers& numbers) const noexcept {
    numbers = {};
    for (const GroupId id : set.ids()) {
        const GroupNumber* found = groups_[side].find(id);
        if (found == nullptr) {
            continue;
        }
        numbers.unwanted |= found->bit;
        if (found->number != 0) {
            if (numbers.count == kMostNumbers) {
                numbers.rest = &set;
            } else {
                numbers.wanted[numbers.count++] = found->number;
            }
        }
    }
}

/// Calls `visit` for each group of the address that rules want, or for 0.
template <Family F>
template <typename Visit>
void TrieClassifier<F>::for_each_number(
    unsigned side, const Numbers& numbers, Visit visit) const noexcept {
    if (numbers.count == 0) {
        visit(std::uint16_t{0});
    } else if (numbers.rest == nullptr) {
        for (unsigned i = 0; i < numbers.count; ++i) {
            visit(numbers.wanted[i]);
        }
    } else {
        for (const GroupId id : numbers.rest->ids()) {
            const GroupNumber* found = groups_[side].find(id);
            if (found != nullptr && found->number != 0) {
                visit(found->number);
            }
        }
    }
}

/// Looks up the keys of `round` and empties it.
template <Family F>
void TrieClassifier<F>::look_up(Round& round) const noexcept {
    std::array<const std::uint8_t*, kKeys> keys;
    std::array<std::uint32_t, kKeys * kMostSegments> results;
    for (unsigned i = 0; i < round.count; ++i) {
        keys[i] = reinterpret_cast<const std::uint8_t*>(&round.keys[i]);
    }
    // Fails for wrong arguments only.
    rte_acl_classify(context_.get(), keys.data(), results.data(), round.count, categories_);
    for (unsigned i = 0; i < round.count; ++i) {
        Found& best = round.found[round.owner[i]];
        for (unsigned s = 0; s < segments_.count(); ++s) {
            const std::uint32_t result = results[i * categories_ + s];
            best[s] = result != 0 && (best[s] == 0 || result < best[s]) ? result : best[s];
        }
    }
    round.count = 0;
}

template <Family F>
Verdict TrieClassifier<F>::follow(const Found& found, Counter* hits) const noexcept {
    Verdict verdict;
    for (unsigned segment = 0; segment < segments_.count();) {
        if (found[segment] == 0) {
            ++segment;
            continue;
        }
        const std::size_t at = found[segment] - 1;
        const Step& step = rules_.steps[at];
        if (hits != nullptr) {
            hits[step.original].add(1);
        }
        if (ends(step, verdict)) {
            return verdict;
        }
        if (step.action == Action::Log) {
            verdict.logged = step.original;
        }
        const std::size_t next = step.action == Action::Log ? at + 1 : step.target;
        if (next == rules_.steps.size()) {
            break;
        }
        segment = segments_.of(next);
    }
    if (hits != nullptr) {
        hits[this->program().rules.size()].add(1);
    }
    return verdict;
}

template <Family F>
void TrieClassifier<F>::classify(
    const Packet<F>* packets,
    const GroupSet* const* source_groups,
    const GroupSet* const* destination_groups,
    Verdict* verdicts,
    unsigned count,
    Counter* hits) const noexcept {
    Round round;
    std::array<Numbers, 2> numbers;
    const std::array sets{source_groups, destination_groups};
    for (unsigned begin = 0; begin < count; begin += kBatch) {
        const unsigned end = std::min(count, begin + kBatch);
        for (unsigned i = begin; i < end; ++i) {
            const Packet<F>& packet = packets[i];
            for (unsigned side = 0; side < 2; ++side) {
                const bool same = i > 0 && sets[side][i] == sets[side][i - 1];
                if (groups_[side].present() && !same) {
                    ask(side, *sets[side][i], numbers[side]);
                }
            }
            Key key{};
            key.protocol = packet.protocol;
            key.has_ports = packet.has_ports ? 1 : 0;
            key.icmp_type = packet.icmp_type;
            key.icmp_code = packet.icmp_code;
            key.ports = {Be16{packet.source_port.value()}, Be16{packet.destination_port.value()}};
            key.not_groups = {Be16{numbers[0].unwanted}, Be16{numbers[1].unwanted}};
            packet.source.store(key.addresses[0].data());
            packet.destination.store(key.addresses[1].data());
            round.found[i - begin].fill(0);
            for_each_number(0, numbers[0], [&](std::uint16_t source) {
                for_each_number(1, numbers[1], [&](std::uint16_t destination) {
                    if (round.count == kKeys) {
                        look_up(round);
                    }
                    key.groups = {Be16{source}, Be16{destination}};
                    round.keys[round.count] = key;
                    round.owner[round.count++] = static_cast<std::uint8_t>(i - begin);
                });
            });
        }
        look_up(round);
        for (unsigned i = begin; i < end; ++i) {
            verdicts[i] = follow(round.found[i - begin], hits);
        }
    }
}

}  // namespace

template <Family F>
Result<std::shared_ptr<const Classifier<F>>> build_trie_classifier(
    const std::shared_ptr<const Program>& program, unsigned workers, RefusedSizes* refused) {
    auto classifier = std::make_shared<TrieClassifier<F>>(program, workers);
    if (auto built = classifier->build(refused); !built) {
        return std::unexpected(built.error());
    }
    return std::shared_ptr<const Classifier<F>>(std::move(classifier));
}

template Result<std::shared_ptr<const Classifier<V4>>> build_trie_classifier(
    const std::shared_ptr<const Program>&, unsigned, RefusedSizes*);
template Result<std::shared_ptr<const Classifier<V6>>> build_trie_classifier(
    const std::shared_ptr<const Program>&, unsigned, RefusedSizes*);

}  // namespace vr::acl
