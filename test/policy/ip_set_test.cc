// Members of sets, a little at a time: whatever happens between two steps, all ends as if each had been done
// at once, and what stays is never absent.
// SPDX-License-Identifier: Apache-2.0
#include "policy/ip_set.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace vr::policy::ip_set_test {
namespace {

struct Object {
    std::vector<IpPrefix> networks;
    std::vector<NamedPort> ports;
};

struct Known {
    Labels labels;
    std::shared_ptr<const Object> object;
};

constexpr std::uint8_t kTcp = 6;

IpPrefix address(unsigned number) {
    return Prefix<V4>::host(Ip4{0x0a000000U + number});
}

/// What members the machine would have; each change is one.
struct Told {
    void take(std::vector<MemberChange> changes) {
        for (const auto& change : changes) {
            if (change.present) {
                EXPECT_TRUE(members[change.group].insert(change.member).second) << "twice";
            } else {
                EXPECT_EQ(members[change.group].erase(change.member), 1U) << "was not there";
            }
        }
    }

    std::map<GroupId, std::set<IpPrefix>> members;
};

class Lab {
  public:
    explicit Lab(unsigned seed, MembersFrom from = MembersFrom::Objects)
        : sets(from), random_(seed) {}

    unsigned below(unsigned end) { return static_cast<unsigned>(random_() % end); }

    /// Some steps; none does more than it may.
    void work(unsigned steps) {
        for (; steps > 0 && sets.has_work(); --steps) {
            const std::size_t most = 1 + below(3);
            sets.work(most);
            auto changes = sets.take_changes();
            EXPECT_LE(changes.size(), most);
            told.take(std::move(changes));
        }
    }

    void finish() { work(100'000); }

    IpSets sets;
    Told told;

  private:
    std::mt19937 random_;
};

/// Sets of objects, each of which may change while others wait.
class ObjectLab : public Lab {
  public:
    explicit ObjectLab(unsigned seed) : Lab(seed) {
        for (const char* text :
             {"all()", "a == 'x'", "has(a)", "a in {'x', 'y'}", "!has(a)", "has(b) && a == 'y'"}) {
            const Selector selector = Selector::parse(text).value();
            names_.emplace_back(SetName{selector.text(), {}, 0}, selector);
            names_.emplace_back(SetName{selector.text(), "web", kTcp}, selector);
        }
    }

    void step() {
        const Key key{Kind::NetworkSet, "n", fmt::format("s{}", below(12))};
        const auto& [name, selector] = names_[below(static_cast<unsigned>(names_.size()))];
        switch (below(6)) {
            case 0:
                sets.remove_item(key);
                items_.erase(key);
                break;
            case 1:
                sets.acquire(name, selector);
                ++users_[name];
                break;
            case 2:
                if (users_[name] > 0) {
                    sets.release(name);
                    --users_[name];
                }
                break;
            case 3:
                if (const auto known = items_.find(key); known != items_.end()) {
                    known->second.labels = labels();
                    set(key);
                }
                break;
            default:
                items_[key] = {labels(), object()};
                set(key);
        }
    }

    void compare() const {
        std::map<GroupId, std::set<IpPrefix>> wanted;
        for (const auto& [name, selector] : names_) {
            const auto groups = sets.groups(name);
            std::set<PortMember> members;
            if (const auto users = users_.find(name); users != users_.end() && users->second > 0) {
                members = members_of(name, selector);
            }
            for (const auto& [port, member] : members) {
                ASSERT_TRUE(groups.contains(port)) << name.selector;
                wanted[groups.at(port)].insert(member);
            }
        }
        auto have = told.members;
        std::erase_if(have, [](const auto& group) { return group.second.empty(); });
        EXPECT_EQ(have, wanted);
    }

  private:
    Labels labels() {
        Labels made;
        if (below(3) > 0) {
            made["a"] = std::string(1, static_cast<char>('w' + below(3)));
        }
        if (below(2) > 0) {
            made["b"] = "";
        }
        return made;
    }

    std::shared_ptr<const Object> object() {
        Object made;
        for (unsigned n = below(6); n > 0; --n) {
            made.networks.push_back(address(below(8)));
        }
        for (unsigned n = below(3); n > 0; --n) {
            made.ports.push_back(
                {below(3) > 0 ? "web" : "dns", kTcp, L4Port{static_cast<std::uint16_t>(below(3))}});
        }
        return std::make_shared<const Object>(std::move(made));
    }

    void set(const Key& key) {
        const auto& [labels, object] = items_.at(key);
        sets.set_item(key, labels, {object, object->networks, object->ports});
    }

    [[nodiscard]] std::set<PortMember> members_of(
        const SetName& name, const Selector& selector) const {
        std::set<PortMember> members;
        for (const auto& [key, item] : items_) {
            if (!selector.matches(item.labels)) {
                continue;
            }
            for (const auto& network : item.object->networks) {
                if (name.port.empty()) {
                    members.emplace(L4Port{}, network);
                }
                for (const auto& port : item.object->ports) {
                    if (port.name == name.port) {
                        members.emplace(port.port, network);
                    }
                }
            }
        }
        return members;
    }

    std::vector<std::pair<SetName, Selector>> names_;
    std::map<SetName, unsigned> users_;
    std::map<Key, Known> items_;
};

TEST(IpSets, WhateverHappensBetweenTwoStepsAllEndsAsItShould) {
    for (unsigned seed = 1; seed <= 200 && !testing::Test::HasFailure(); ++seed) {
        ObjectLab lab(seed);
        for (int step = 0; step < 120; ++step) {
            lab.step();
            lab.work(lab.below(6));
            if (lab.below(20) == 0) {
                lab.finish();
                lab.compare();
            }
        }
        lab.finish();
        lab.compare();
    }
}

TEST(IpSets, AnAddressThatStaysInAnEditedItemIsNeverAbsent) {
    ObjectLab lab(1);
    const Key key{Kind::NetworkSet, "n", "s"};
    const Selector selector = Selector::has("a");
    const SetName name{selector.text(), {}, 0};
    const auto set = [&](std::vector<IpPrefix> networks) {
        const auto object = std::make_shared<const Object>(Object{std::move(networks), {}});
        lab.sets.set_item(key, {{"a", ""}}, {object, object->networks, {}});
    };
    lab.sets.acquire(name, selector);
    set({address(1), address(2)});
    lab.finish();
    const GroupId group = lab.sets.groups(name).at(L4Port{});
    set({address(3), address(2)});
    set({address(2), address(4)});
    while (lab.sets.has_work()) {
        lab.work(1);
        EXPECT_TRUE(lab.told.members.at(group).contains(address(2)));
    }
    EXPECT_EQ(lab.told.members.at(group), (std::set{address(2), address(4)}));
}

/// A set that goes and comes again has another group, and the old one is emptied behind it.
TEST(IpSets, ASetThatComesAgainWhileItIsEmptiedIsAnother) {
    ObjectLab lab(1);
    const Selector selector;
    const SetName name{selector.text(), {}, 0};
    const auto object = std::make_shared<const Object>(Object{{address(1), address(2)}, {}});
    lab.sets.set_item({Kind::NetworkSet, "n", "s"}, {}, {object, object->networks, {}});
    lab.sets.acquire(name, selector);
    lab.finish();
    const GroupId old = lab.sets.groups(name).at(L4Port{});
    lab.sets.release(name);
    lab.work(1);
    lab.sets.acquire(name, selector);
    const GroupId fresh = lab.sets.groups(name).at(L4Port{});
    EXPECT_NE(old, fresh);
    EXPECT_FALSE(lab.sets.owner(old));
    while (lab.told.members[fresh].size() < 2) {
        ASSERT_TRUE(lab.sets.has_work());
        lab.work(1);
    }
    lab.finish();
    EXPECT_TRUE(lab.told.members[old].empty());
    EXPECT_EQ(lab.told.members[fresh].size(), 2U);
}

TEST(IpSets, OfAStreamTheLastWordCounts) {
    const SetName names[]{{"all()", {}, 0}, {"all()", "web", kTcp}};
    for (unsigned seed = 1; seed <= 200 && !testing::Test::HasFailure(); ++seed) {
        Lab lab(seed, MembersFrom::Stream);
        std::map<SetName, std::set<PortMember>> wanted;
        const auto some = [&](const SetName& name) {
            std::set<PortMember> made;
            for (unsigned n = lab.below(8); n > 0; --n) {
                const auto port = name.port.empty() ? 0 : lab.below(3);
                made.emplace(L4Port{static_cast<std::uint16_t>(port)}, address(lab.below(8)));
            }
            return made;
        };
        for (int step = 0; step < 60; ++step) {
            const SetName& name = names[lab.below(2)];
            const auto added = some(name);
            auto removed = some(name);
            std::erase_if(removed, [&](const auto& member) { return added.contains(member); });
            SetUpdate update{name, SetUpdate::How::Change, {added.begin(), added.end()}, {}};
            switch (lab.below(6)) {
                case 0:
                    update.how = SetUpdate::How::Forget;
                    wanted[name].clear();
                    break;
                case 1:
                case 2:
                    update.how = SetUpdate::How::Replace;
                    wanted[name] = added;
                    break;
                default:
                    update.removed.assign(removed.begin(), removed.end());
                    wanted[name].insert(added.begin(), added.end());
                    std::erase_if(
                        wanted[name], [&](const auto& member) { return removed.contains(member); });
            }
            lab.sets.feed(std::move(update));
            lab.work(lab.below(6));
        }
        lab.finish();
        std::map<GroupId, std::set<IpPrefix>> members;
        for (const auto& name : names) {
            const auto all = lab.sets.members(name);
            EXPECT_EQ(std::set<PortMember>(all.begin(), all.end()), wanted[name]) << seed;
            for (const auto& [port, member] : all) {
                members[lab.sets.groups(name).at(port)].insert(member);
            }
        }
        std::erase_if(lab.told.members, [](const auto& group) { return group.second.empty(); });
        EXPECT_EQ(lab.told.members, members) << seed;
    }
}

TEST(IpSets, WhatAStreamTellsAgainIsNeverAbsent) {
    Lab lab(1, MembersFrom::Stream);
    const SetName name{"all()", {}, 0};
    const auto tell = [&](std::vector<PortMember> all) {
        lab.sets.feed({name, SetUpdate::How::Replace, std::move(all), {}});
    };
    tell({{L4Port{}, address(1)}, {L4Port{}, address(2)}});
    lab.finish();
    const GroupId group = lab.sets.groups(name).at(L4Port{});
    tell({{L4Port{}, address(2)}, {L4Port{}, address(3)}});
    tell({{L4Port{}, address(4)}, {L4Port{}, address(2)}});
    while (lab.sets.has_work()) {
        lab.work(1);
        EXPECT_TRUE(lab.told.members.at(group).contains(address(2)));
    }
    EXPECT_EQ(lab.told.members.at(group), (std::set{address(2), address(4)}));
}

}  // namespace
}  // namespace vr::policy::ip_set_test
