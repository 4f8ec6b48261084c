// SPDX-License-Identifier: Apache-2.0
#include "ctl/offline.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "ctl/commands.h"
#include "ctl/json.h"
#include "policy/catalog.h"
#include "policy/lint.h"
#include "policy/selector.h"
#include "policy/trial.h"
#include "policy/trial_run.h"

namespace vr::ctl {

namespace {

/// The files of objects that a directory holds, or why one cannot be read.
struct Folder {
    std::vector<policy::SourceFile> files;
    std::vector<std::pair<std::string, std::string>> unreadable;  ///< with the reason
    std::vector<std::string> folders;                             ///< within it: not looked into
};

Folder read_folder(
    const Files& files, const std::string& path, const std::vector<Files::Entry>& entries) {
    using Type = Files::Entry::Type;
    Folder folder;
    for (const auto& [name, type] : entries) {
        const std::string file = path + (path.ends_with('/') ? "" : "/") + name;
        if (type == Type::Directory) {
            folder.folders.push_back(file);
        } else if (!policy::is_resource_file(name)) {
            continue;
        } else if (type == Type::Other) {  // reading one may wait for ever
            folder.unreadable.emplace_back(file, file + " is no regular file");
        } else if (auto text = files.read(file)) {
            folder.files.push_back({file, *std::move(text)});
        } else {
            folder.unreadable.emplace_back(file, std::move(text).error().text);
        }
    }
    return folder;
}

/// The file `path`, or all files of objects in the directory of that name.
Result<std::vector<policy::SourceFile>> read_sources(const Files& files, const std::string& path) {
    if (const auto listed = files.list(path)) {
        Folder folder = read_folder(files, path, *listed);
        if (!folder.unreadable.empty()) {
            const auto& [file, why] = folder.unreadable.front();
            return fail(why);
        }
        return std::move(folder.files);
    }
    auto text = files.read(path);
    if (!text) {
        return std::unexpected(std::move(text).error());
    }
    return std::vector<policy::SourceFile>{{path, *std::move(text)}};
}

pb::Ruling to_pb(policy::Ruling ruling) {
    switch (ruling) {
        case policy::Ruling::Allow:
            return pb::RULING_ALLOW;
        case policy::Ruling::Reject:
            return pb::RULING_REJECT;
        case policy::Ruling::Deny:
            break;
    }
    return pb::RULING_DENY;
}

void fill(
    const policy::TrialCase& c,
    const policy::CaseResult& result,
    const std::string& file,
    pb::TestedCase& row) {
    row.set_file(file);
    row.set_line(static_cast<std::uint32_t>(c.line));
    row.set_name(c.name);
    row.set_endpoint(c.endpoint);
    row.set_direction(
        c.direction == policy::Direction::Ingress ? pb::DIRECTION_INGRESS : pb::DIRECTION_EGRESS);
    row.set_outcome(
        !result.agrees()                ? pb::TestedCase::OUTCOME_DISPUTED
        : result.compiled == c.expected ? pb::TestedCase::OUTCOME_PASSED
                                        : pb::TestedCase::OUTCOME_FAILED);
    row.set_expected(to_pb(c.expected));
    row.set_verdict(to_pb(result.compiled));
    row.set_tier(result.by.tier);
    row.set_policy(result.by.policy);
    row.set_rule(result.by.rule);
    row.set_reference_verdict(to_pb(result.reference));
    row.set_reference_tier(result.reference_by.tier);
    row.set_reference_policy(result.reference_by.policy);
    row.set_reference_rule(result.reference_by.rule);
}

void run(const policy::Trial& trial, pb::PolicyTest& into) {
    into.mutable_errors()->Add(trial.errors.begin(), trial.errors.end());
    into.mutable_warnings()->Add(trial.warnings.begin(), trial.warnings.end());
    if (trial.errors.empty() && trial.cases.empty()) {
        into.add_errors(trial.file + ": no case: nothing would be tested");
    }
    if (!trial.errors.empty()) {
        return;
    }
    const auto results = policy::run_trial(trial);
    for (std::size_t i = 0; i < results.size(); ++i) {
        auto& row = *into.add_cases();
        fill(trial.cases[i], results[i], trial.file, row);
        if (row.outcome() == pb::TestedCase::OUTCOME_PASSED) {
            into.set_passed(into.passed() + 1);
        } else {
            into.set_failed(into.failed() + 1);
        }
    }
}

pb::LintFinding::Kind to_pb(policy::Finding::Kind kind) {
    switch (kind) {
        case policy::Finding::Kind::Invalid:
            return pb::LintFinding::KIND_INVALID;
        case policy::Finding::Kind::Shadowed:
            return pb::LintFinding::KIND_SHADOWED;
        case policy::Finding::Kind::MatchesNothing:
            return pb::LintFinding::KIND_MATCHES_NOTHING;
        case policy::Finding::Kind::Warning:
            break;
    }
    return pb::LintFinding::KIND_WARNING;
}

/// "tier default, NetworkPolicy prod/web rule 0"
std::string decider_text(const std::string& tier, const std::string& policy, int rule) {
    return fmt::format(
        "{}{}{}{}{}",
        tier.empty() ? "" : "tier ",
        tier,
        tier.empty() ? "" : ", ",
        policy,
        rule < 0 ? "" : fmt::format(" rule {}", rule));
}

std::string case_text(const pb::TestedCase& row) {
    const std::string decider = decider_text(row.tier(), row.policy(), row.rule());
    const std::string verdict = field_text(row, "verdict");
    std::string text = fmt::format(
        "{}:{}: {}: {}: {} by {}",
        row.file(),
        row.line(),
        field_text(row, "outcome"),
        row.name(),
        verdict,
        decider);
    if (row.outcome() == pb::TestedCase::OUTCOME_FAILED) {
        text += fmt::format(", expected {}", field_text(row, "expected"));
    } else if (row.outcome() == pb::TestedCase::OUTCOME_DISPUTED) {
        text += fmt::format(
            ", but the reference says {} by {}: a bug of vrouter",
            field_text(row, "reference_verdict"),
            decider_text(row.reference_tier(), row.reference_policy(), row.reference_rule()));
    }
    return text + "\n";
}

}  // namespace

Result<pb::Response> test_selector(const Values& values, const Files& /*files*/) {
    policy::Labels labels;
    for (const std::string& label : values.list("labels")) {
        const std::size_t sign = label.find('=');
        if (!labels.emplace(label.substr(0, sign), label.substr(sign + 1)).second) {
            return fail(fmt::format("label {} is given twice", label.substr(0, sign)));
        }
    }
    pb::Response response;
    auto& test = *response.mutable_selector_test();
    const auto selector = policy::Selector::parse(values.text("expression"));
    if (!selector) {
        constexpr std::string_view kColumn = "column ";
        std::string_view problem = selector.error().text;
        std::uint32_t column = 0;
        problem.remove_prefix(kColumn.size());
        const auto [end, error] =
            std::from_chars(problem.data(), problem.data() + problem.size(), column);
        problem.remove_prefix(static_cast<std::size_t>(end - problem.data()));
        problem.remove_prefix(problem.starts_with(": ") ? 2 : 0);
        test.set_verdict(pb::SelectorTest::VERDICT_INVALID);
        test.set_column(column);
        test.set_problem(std::string(problem));
        return response;
    }
    test.set_verdict(
        selector->matches(labels) ? pb::SelectorTest::VERDICT_MATCHES
                                  : pb::SelectorTest::VERDICT_DOES_NOT_MATCH);
    if (values.has("canonical")) {
        test.set_canonical(selector->text());
    }
    return response;
}

Result<pb::Response> test_policy(const Values& values, const Files& files) {
    pb::Response response;
    for (const auto& file : values.files) {
        const policy::Trial trial =
            policy::read_trial(file.name, file.text, [&](const std::string& path) {
                return read_sources(files, path);
            });
        run(trial, *response.mutable_policy_test());
    }
    return response;
}

Result<pb::Response> lint_policy(const Values& values, const Files& files) {
    const std::string directory = values.text("directory");
    const auto entries = files.list(directory);
    if (!entries) {
        return fail(fmt::format("DIR: '{}' is not a directory that can be read", directory));
    }
    const Folder folder = read_folder(files, directory, *entries);
    if (folder.files.empty() && folder.unreadable.empty()) {
        return fail(fmt::format(
            "DIR: '{}' holds no file of objects (*.yaml, *.yml, *.json){}",
            directory,
            folder.folders.empty() ? ""
                                   : ", only folders, into which neither this nor a router looks"));
    }
    auto findings = policy::lint(folder.files);
    for (const auto& [file, why] : folder.unreadable) {
        findings.push_back({policy::Finding::Kind::Invalid, file, 0, {}, why});
    }
    for (const std::string& name : folder.folders) {
        findings.push_back(
            {policy::Finding::Kind::Warning,
             name,
             0,
             {},
             "a folder: a router does not look into it"});
    }
    pb::Response response;
    auto& report = *response.mutable_policy_lint();
    report.set_files(static_cast<std::uint32_t>(folder.files.size() + folder.unreadable.size()));
    for (const auto& finding : findings) {
        auto& row = *report.add_findings();
        row.set_kind(to_pb(finding.kind));
        row.set_file(finding.file);
        row.set_line(static_cast<std::uint32_t>(finding.line));
        row.set_object(finding.object);
        row.set_text(finding.text);
        if (row.kind() != pb::LintFinding::KIND_WARNING) {
            report.set_problems(report.problems() + 1);
        }
    }
    return response;
}

std::string selector_text(const pb::Response& frame) {
    const auto& test = frame.selector_test();
    if (test.verdict() == pb::SelectorTest::VERDICT_INVALID) {
        return fmt::format("invalid at column {}: {}\n", test.column(), test.problem());
    }
    std::string text =
        test.verdict() == pb::SelectorTest::VERDICT_MATCHES ? "matches\n" : "does not match\n";
    return test.canonical().empty() ? text : text + test.canonical() + "\n";
}

std::string policy_test_text(const pb::Response& frame) {
    const auto& test = frame.policy_test();
    std::string text;
    for (const auto& error : test.errors()) {
        text += fmt::format("{}\n", error);
    }
    for (const auto& warning : test.warnings()) {
        text += fmt::format("warning: {}\n", warning);
    }
    for (const auto& row : test.cases()) {
        text += case_text(row);
    }
    return text + fmt::format(
                      "{} cases: {} passed, {} failed{}\n",
                      test.cases_size(),
                      test.passed(),
                      test.failed(),
                      test.errors().empty() ? "" : "; files with errors were not judged");
}

std::string policy_lint_text(const pb::Response& frame) {
    const auto& report = frame.policy_lint();
    std::string text;
    for (const auto& row : report.findings()) {
        std::string kind = field_text(row, "kind");
        std::ranges::replace(kind, '_', ' ');
        text += fmt::format(
            "{}:{} {}: {}{}{}\n",
            row.file(),
            row.line() == 0 ? "" : fmt::format("{}:", row.line()),
            kind,
            row.object(),
            row.object().empty() ? "" : ": ",
            row.text());
    }
    return text + fmt::format("{} files: {} problems\n", report.files(), report.problems());
}

Exit selector_exit(const pb::Response& frame) {
    switch (frame.selector_test().verdict()) {
        case pb::SelectorTest::VERDICT_MATCHES:
            return Exit::Ok;
        case pb::SelectorTest::VERDICT_DOES_NOT_MATCH:
            return Exit::Refused;
        default:
            return Exit::Usage;
    }
}

Exit policy_test_exit(const pb::Response& frame) {
    const auto& test = frame.policy_test();
    return !test.errors().empty() ? Exit::Usage : test.failed() > 0 ? Exit::Refused : Exit::Ok;
}

Exit policy_lint_exit(const pb::Response& frame) {
    return frame.policy_lint().problems() > 0 ? Exit::Refused : Exit::Ok;
}

}  // namespace vr::ctl
