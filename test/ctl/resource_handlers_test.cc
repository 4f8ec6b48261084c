// What is answered about the objects of the datastore, and what becomes of changes.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "policy/datastore.h"
#include "test/ctl/asking.h"

namespace vr::ctl::resource_handlers_test {
namespace {

/// A datastore of two tiers, one of them invalid.
class TwoTiers : public policy::Datastore {
  public:
    TwoTiers() {
        policy::ObjectStatus good;
        good.key = {.kind = policy::Kind::Tier, .ns = {}, .name = "good"};
        good.file = "t.yaml";
        good.line = 3;
        good.yaml = "kind: Tier\n";
        policy::ObjectStatus bad = good;
        bad.key.name = "bad";
        bad.state = policy::ObjectState::StandIn;
        bad.reason = "t.yaml:9: spec.order: 'x' is no number";
        objects = {policy_in("default"), policy_in("prod"), bad, good};
    }

    [[nodiscard]] std::vector<policy::ObjectStatus> list(
        const policy::Key& from, std::size_t count) const override {
        const auto first = std::ranges::lower_bound(objects, from, {}, &policy::ObjectStatus::key);
        const auto rest = static_cast<std::size_t>(objects.end() - first);
        largest_slice = std::max(largest_slice, std::min(count, rest));
        return {first, first + static_cast<std::ptrdiff_t>(std::min(count, rest))};
    }

    [[nodiscard]] std::vector<std::string> problems() const override {
        return {"junk.yaml:1: not an object"};
    }

    [[nodiscard]] policy::SourceStatus status() const override {
        policy::SourceStatus status;
        status.source = "file";
        status.places = {"/resources"};
        status.fails(
            policy::SourceStatus::State::Frozen,
            "/resources is gone",
            std::chrono::steady_clock::now() - std::chrono::seconds(9));
        status.in_force = true;
        return status;
    }

    [[nodiscard]] std::map<policy::Kind, policy::KindCount> counts() const override {
        return {{policy::Kind::Tier, {.objects = 2, .invalid = 1}}};
    }

    void put(std::string_view file, std::string_view yaml, PutDone done) override {
        if (yaml == "---") {
            done(std::vector<policy::Key>{});
        } else if (yaml.empty()) {
            done(fail(std::string(file) + ":1: nothing in it"));
        } else if (yaml == "later") {
            waiting = std::move(done);
        } else {
            done(std::vector<policy::Key>{{.kind = policy::Kind::Tier, .ns = {}, .name = "good"}});
        }
    }

    void remove(const policy::Key& key, RemoveDone done) override {
        removed.push_back(to_string(key));
        done(key.name == "absent" ? fail("it does not exist") : Result<void>{});
    }

    PutDone waiting;

    std::vector<std::string> removed;

    std::vector<policy::ObjectStatus> objects;  ///< by key
    mutable std::size_t largest_slice = 0;

    static policy::ObjectStatus policy_in(
        const std::string& space, const std::string& name = "web") {
        policy::ObjectStatus web;
        web.key = {.kind = policy::Kind::NetworkPolicy, .ns = space, .name = name};
        return web;
    }
};

class ResourceHandler : public testing::Test {
  protected:
    ResourceHandler() { serve_resources(dispatch_, store_); }

    pb::Response get(
        const std::string& kind, const std::string& name, const std::string& space = {}) {
        pb::Request request;
        request.mutable_get_resources()->set_namespace_(space);
        request.mutable_get_resources()->set_kind(kind);
        request.mutable_get_resources()->set_name(name);
        return joined(ask(dispatch_, request));
    }

    pb::ChangeList remove(const std::string& kind, const std::string& name) {
        pb::Request request;
        request.mutable_delete_resources()->set_kind(kind);
        request.mutable_delete_resources()->set_name(name);
        return ask_once(dispatch_, request).changes();
    }

    TwoTiers store_;
    Dispatch dispatch_;
};

TEST_F(ResourceHandler, ListsInvalidObjectsWithTheReason) {
    const auto list = get("Tier", "").resources();
    ASSERT_EQ(list.rows_size(), 2);
    EXPECT_EQ(list.rows(0).state(), pb::Resource::STATE_STAND_IN);
    EXPECT_EQ(list.rows(0).problem(), "t.yaml:9: spec.order: 'x' is no number");
    EXPECT_EQ(list.rows(1).state(), pb::Resource::STATE_VALID);
    EXPECT_EQ(list.rows(1).origin(), "t.yaml:3");
    EXPECT_EQ(list.rows(1).document(), "kind: Tier\n");
}

TEST_F(ResourceHandler, ShowsWhatIsNoObjectAmongAllKinds) {
    const auto list = get("", "").resources();
    ASSERT_EQ(list.rows_size(), 5);
    EXPECT_EQ(list.rows(4).problem(), "junk.yaml:1: not an object");
}

TEST_F(ResourceHandler, FindsOneByName) {
    EXPECT_EQ(get("Tier", "good").resources().rows_size(), 1);
    EXPECT_EQ(get("Tier", "absent").error().code(), pb::Error::CODE_NOT_FOUND);
    EXPECT_EQ(get("Tears", "").error().code(), pb::Error::CODE_INVALID);
}

TEST_F(ResourceHandler, FindsANameInTheDefaultNamespaceUnlessOneIsGiven) {
    ASSERT_EQ(get("NetworkPolicy", "web").resources().rows_size(), 1);
    EXPECT_EQ(get("NetworkPolicy", "web").resources().rows(0).namespace_(), "default");
    EXPECT_EQ(get("NetworkPolicy", "web", "prod").resources().rows(0).namespace_(), "prod");
    EXPECT_EQ(get("NetworkPolicy", "").resources().rows_size(), 2);
}

TEST_F(ResourceHandler, FindsWhatApplyHasPrinted) {
    EXPECT_EQ(get("NetworkPolicy", "prod/web").resources().rows(0).namespace_(), "prod");
    EXPECT_EQ(get("NetworkPolicy", "prod/web", "prod").resources().rows_size(), 1);
    EXPECT_EQ(get("NetworkPolicy", "prod/web", "default").error().code(), pb::Error::CODE_INVALID);
    (void)remove("NetworkPolicy", "prod/web");
    EXPECT_EQ(store_.removed, std::vector<std::string>{"NetworkPolicy prod/web"});
}

TEST_F(ResourceHandler, FindsAPolicyOfTheDefaultTierWithTheTierInFront) {
    EXPECT_EQ(get("NetworkPolicy", "default.web").resources().rows(0).name(), "web");
    EXPECT_EQ(get("Tier", "default.good").error().code(), pb::Error::CODE_NOT_FOUND);
}

TEST_F(ResourceHandler, DeletesByTheOwnNameAlone) {
    const auto changes = remove("NetworkPolicy", "prod/default.web");
    ASSERT_EQ(changes.rows_size(), 1);
    EXPECT_EQ(changes.rows(0).outcome(), pb::Change::OUTCOME_REFUSED);
    EXPECT_EQ(changes.rows(0).problem(), "it does not exist, 'web' does");
    EXPECT_TRUE(store_.removed.empty());
}

/// Listings of more objects than a frame has rows.
class ManyResources : public ResourceHandler {
  protected:
    ManyResources() {
        store_.objects.clear();
        for (std::size_t i = 0; i < kObjects; ++i) {
            store_.objects.push_back(TwoTiers::policy_in("n", fmt::format("p{:04}", i)));
        }
    }

    /// Names, in the order of the frames of a listing; `between` is called behind each frame.
    [[nodiscard]] std::vector<std::string> names(const std::function<void()>& between) {
        pb::Request request;
        request.mutable_get_resources()->set_kind("NetworkPolicy");
        Slices slices;
        dispatch_.answer(request, [&](Slices given) { slices = std::move(given); });
        std::vector<std::string> all;
        for (bool more = true; more; between()) {
            pb::Response frame;
            more = slices(frame);
            for (const pb::Resource& row : frame.resources().rows()) {
                all.push_back(row.name());
            }
        }
        return all;
    }

    void remove_object(const std::string& name) {
        std::erase_if(store_.objects, [&](const auto& object) { return object.key.name == name; });
    }

    static constexpr std::size_t kObjects = 3 * kRowsPerFrame;
};

TEST_F(ManyResources, AreListedInSlices) {
    const auto all = names([] {});
    EXPECT_EQ(all.size(), kObjects);
    EXPECT_TRUE(std::ranges::is_sorted(all));
    EXPECT_LE(store_.largest_slice, kRowsPerFrame);
}

TEST_F(ManyResources, AreListedOnceWhateverComesAndGoesMeanwhile) {
    unsigned frames = 0;
    const auto all = names([&] {
        if (++frames == 1) {
            remove_object(fmt::format("p{:04}", kRowsPerFrame - 1));  // the last one shown
            remove_object(fmt::format("p{:04}", kRowsPerFrame));      // the next one
            store_.objects.insert(store_.objects.begin(), TwoTiers::policy_in("n", "a"));
        }
    });
    EXPECT_EQ(all.size(), kObjects - 1);
    EXPECT_TRUE(std::ranges::is_sorted(all));
    EXPECT_EQ(std::ranges::adjacent_find(all), all.end());
}

TEST_F(ManyResources, AreNotAllLookedAtForOne) {
    EXPECT_EQ(get("NetworkPolicy", "n/p0200").resources().rows_size(), 1);
    EXPECT_EQ(get("NetworkPolicy", "n/absent").error().code(), pb::Error::CODE_NOT_FOUND);
    (void)remove("NetworkPolicy", "n/absent");
    EXPECT_EQ(store_.largest_slice, 1U);
}

TEST_F(ResourceHandler, KindWithoutNamespacesIsInNone) {
    EXPECT_EQ(get("Tier", "prod/good").error().code(), pb::Error::CODE_INVALID);
    EXPECT_EQ(remove("Tier", "prod/good").rows_size(), 0);
    EXPECT_TRUE(store_.removed.empty());
}

TEST_F(ResourceHandler, RefusesAFileWithoutObjects) {
    pb::Request request;
    request.mutable_apply_resources()->add_files()->set_text("---");
    auto changes = ask_once(dispatch_, request).changes();
    ASSERT_EQ(changes.rows_size(), 1);
    EXPECT_EQ(changes.rows(0).outcome(), pb::Change::OUTCOME_REFUSED);
    EXPECT_EQ(changes.rows(0).problem(), "there is no object in it");
    request.mutable_delete_resources()->add_files()->set_text("---");
    changes = ask_once(dispatch_, request).changes();
    ASSERT_EQ(changes.rows_size(), 1);
    EXPECT_EQ(changes.rows(0).outcome(), pb::Change::OUTCOME_REFUSED);
}

TEST_F(ResourceHandler, ShowsHowTheDatastoreIs) {
    serve_datastore(dispatch_, store_);
    pb::Request request;
    request.mutable_show_datastore();
    const auto shown = ask_once(dispatch_, request).datastore();
    EXPECT_EQ(shown.state(), pb::DatastoreStatus::STATE_FROZEN);
    EXPECT_GE(shown.state_seconds(), 9U);
    EXPECT_EQ(shown.last_error(), "/resources is gone");
    ASSERT_EQ(shown.kinds_size(), 1);
    EXPECT_EQ(shown.kinds(0).kind(), "Tier");
    EXPECT_EQ(shown.kinds(0).invalid(), 1U);
    EXPECT_EQ(shown.problems(0), "junk.yaml:1: not an object");
}

TEST_F(ResourceHandler, AppliesFileByFile) {
    pb::Request request;
    request.mutable_apply_resources()->add_files()->set_name("empty.yaml");
    auto& file = *request.mutable_apply_resources()->add_files();
    file.set_name("good.yaml");
    file.set_text("kind: Tier");
    const auto changes = ask_once(dispatch_, request).changes();
    ASSERT_EQ(changes.rows_size(), 2);
    EXPECT_EQ(changes.rows(0).name(), "empty.yaml");
    EXPECT_EQ(changes.rows(0).outcome(), pb::Change::OUTCOME_REFUSED);
    EXPECT_EQ(changes.rows(0).problem(), "empty.yaml:1: nothing in it");
    EXPECT_EQ(changes.rows(1).outcome(), pb::Change::OUTCOME_APPLIED);
}

TEST_F(ResourceHandler, AnswersWhenAllChangesAreMade) {
    pb::Request request;
    request.mutable_apply_resources()->add_files()->set_text("later");
    request.mutable_apply_resources()->add_files()->set_text("kind: Tier");
    Slices answer;
    dispatch_.answer(request, [&](Slices given) { answer = std::move(given); });
    EXPECT_FALSE(answer);
    store_.waiting(fail("too late"));
    ASSERT_TRUE(answer);
    pb::Response response;
    EXPECT_FALSE(answer(response));
    EXPECT_EQ(response.changes().rows_size(), 2);
    EXPECT_EQ(response.changes().rows(0).problem(), "too late");
}

TEST_F(ResourceHandler, AnswersWhenTheChangesAreInForce) {
    Dispatch dispatch;
    std::function<void()> in_force;
    serve_resources(dispatch, store_, {}, [&](auto then) { in_force = std::move(then); });
    pb::Request request;
    request.mutable_apply_resources()->add_files()->set_text("kind: Tier");
    Slices answer;
    dispatch.answer(request, [&](Slices given) { answer = std::move(given); });
    ASSERT_TRUE(in_force);
    EXPECT_FALSE(answer);
    in_force();
    EXPECT_TRUE(answer);
}

TEST_F(ResourceHandler, DeletesInTheDefaultNamespaceUnlessOneIsGiven) {
    EXPECT_EQ(remove("NetworkPolicy", "p").rows(0).outcome(), pb::Change::OUTCOME_DELETED);
    EXPECT_EQ(remove("Tier", "t").rows(0).outcome(), pb::Change::OUTCOME_DELETED);
    EXPECT_EQ(store_.removed, (std::vector<std::string>{"NetworkPolicy default/p", "Tier t"}));
}

TEST_F(ResourceHandler, TellsWhyNothingWasDeleted) {
    const auto changes = remove("Tier", "absent");
    EXPECT_EQ(changes.rows(0).outcome(), pb::Change::OUTCOME_REFUSED);
    EXPECT_EQ(changes.rows(0).problem(), "it does not exist");
}

TEST_F(ResourceHandler, DeletesWhatAFileHolds) {
    pb::Request request;
    auto& file = *request.mutable_delete_resources()->add_files();
    file.set_name("t.yaml");
    file.set_text(
        "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\nspec: {order: 1}\n");
    const auto changes = ask_once(dispatch_, request).changes();
    ASSERT_EQ(changes.rows_size(), 1);
    EXPECT_EQ(store_.removed, std::vector<std::string>{"Tier t"});
}

}  // namespace
}  // namespace vr::ctl::resource_handlers_test
