// SPDX-License-Identifier: Apache-2.0
#include "vrouter/builder.h"

#include <algorithm>
#include <utility>

namespace vr {

namespace {

/// A program's classifiers, for as long as somebody else keeps them.
struct Known {
    std::weak_ptr<const acl::Classifier<V4>> v4;
    std::weak_ptr<const acl::Classifier<V6>> v6;

    [[nodiscard]] std::shared_ptr<const Compiled> lock() const {
        Compiled compiled{v4.lock(), v6.lock()};
        return compiled.v4 && compiled.v6 ? std::make_shared<const Compiled>(std::move(compiled))
                                          : nullptr;
    }
};

/// Rules, nets and port ranges: what the time to compile it grows with.
std::size_t values(const acl::Program& program) {
    std::size_t sum = 0;
    for (const acl::Rule& rule : program.rules) {
        ++sum;
        for (const acl::SideMatch* side : {&rule.match.source, &rule.match.destination}) {
            sum += side->nets4.size() + side->nets6.size() + side->not_nets4.size() +
                   side->not_nets6.size() + side->ports.size() + side->not_ports.size();
        }
    }
    return sum;
}

}  // namespace

Builder::Builder(
    std::function<void(std::function<void()>)> post, acl::EngineChoice engine, unsigned workers)
    : post_(std::move(post)),
      engine_(engine),
      workers_(workers),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Builder::~Builder() {
    thread_.request_stop();
    wake_.notify_all();
}

void Builder::compile(std::shared_ptr<const acl::Program> program, Done done, Purpose purpose) {
    const std::size_t values = values_of(program);
    ++pending_;
    {
        const std::lock_guard lock{mutex_};
        auto& jobs = jobs_[static_cast<std::size_t>(purpose)];
        if (!jobs.empty() && jobs.back().program == program) {
            jobs.back().done.push_back(std::move(done));
            return;
        }
        Job& job = jobs.emplace_back(Job{.program = std::move(program), .values = values});
        job.done.push_back(std::move(done));
    }
    backlog_ += values;
    wake_.notify_one();
}

/// Many endpoints in turn ask for the same program: it is looked through once.
std::size_t Builder::values_of(const std::shared_ptr<const acl::Program>& program) {
    if (sized_.lock() != program) {
        sized_ = program;
        size_ = values(*program);
    }
    return size_;
}

bool Builder::has_jobs() const {
    return std::ranges::any_of(jobs_, [](const auto& jobs) { return !jobs.empty(); });
}

/// There is one.
Builder::Job Builder::take_job() {
    auto& jobs = *std::ranges::find_if(jobs_, [](const auto& queue) { return !queue.empty(); });
    Job job = std::move(jobs.front());
    jobs.pop_front();
    return job;
}

void Builder::run(const std::stop_token& stop) {
    // Whatever some endpoint runs, or waits for: also a burst of endpoints that asks for the same few
    // programs in turn, long before the first answer arrives.
    std::map<std::weak_ptr<const acl::Program>, Known, std::owner_less<>> known;
    while (true) {
        Job job;
        {
            std::unique_lock lock{mutex_};
            if (!wake_.wait(lock, stop, [this] { return has_jobs(); })) {
                return;
            }
            job = take_job();
        }
        std::shared_ptr<const Compiled> compiled = known[job.program].lock();
        const bool built = !compiled;
        if (built) {
            compiled = build(job.program);
            known[job.program] = {compiled->v4, compiled->v6};
            std::erase_if(known, [](const auto& entry) { return entry.second.lock() == nullptr; });
        }
        job.program.reset();
        {
            const std::lock_guard lock{mutex_};
            answers_.push_back({std::move(job.done), job.values, std::move(compiled), built, 0});
        }
        post_([this] { deliver(); });
    }
}

std::shared_ptr<const Compiled> Builder::build(const std::shared_ptr<const acl::Program>& program) {
    auto v4 = acl::build_classifier<V4>(program, engine_, workers_);
    auto v6 = acl::build_classifier<V6>(program, engine_, workers_);
    if (v4.wanting.lock()) {
        tries_.add(std::move(v4.wanting));
    }
    if (v6.wanting.lock()) {
        tries_.add(std::move(v6.wanting));
    }
    return std::make_shared<const Compiled>(
        Compiled{std::move(v4.classifier), std::move(v6.classifier)});
}

/// Hands the next answer to whoever asked, or to some of them: the others are next.
void Builder::deliver() {
    std::vector<Done> some;
    std::shared_ptr<const Compiled> compiled;
    bool more = false;
    {
        const std::lock_guard lock{mutex_};
        Answer& answer = answers_.front();
        backlog_ -= std::exchange(answer.values, 0);
        built_ += std::exchange(answer.built, false) ? 1U : 0U;
        compiled = answer.compiled;
        while (answer.told < answer.done.size() && some.size() < kTogether) {
            some.push_back(std::move(answer.done[answer.told++]));
        }
        more = answer.told < answer.done.size();
        if (!more) {
            answers_.pop_front();
        }
    }
    for (const Done& done : some) {
        --pending_;
        done(compiled);
    }
    if (more) {
        post_([this] { deliver(); });
    }
}

}  // namespace vr
