// SPDX-License-Identifier: Apache-2.0
#include "vrouter/builder.h"

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

void Builder::compile(std::shared_ptr<const acl::Program> program, Done done) {
    ++pending_;
    {
        const std::lock_guard lock{mutex_};
        jobs_.push_back({std::move(program), std::move(done)});
    }
    wake_.notify_one();
}

void Builder::run(const std::stop_token& stop) {
    // Whatever some endpoint runs, or waits for: also a burst of endpoints that asks for the same few
    // programs in turn, long before the first answer arrives.
    std::map<std::weak_ptr<const acl::Program>, Known, std::owner_less<>> known;
    while (true) {
        Job job;
        {
            std::unique_lock lock{mutex_};
            if (!wake_.wait(lock, stop, [this] { return !jobs_.empty(); })) {
                return;
            }
            job = std::move(jobs_.front());
            jobs_.pop_front();
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
            answers_.push_back({std::move(job.done), std::move(compiled), built});
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

/// Hands the next answer to whoever asked.
void Builder::deliver() {
    Answer answer;
    {
        const std::lock_guard lock{mutex_};
        answer = std::move(answers_.front());
        answers_.pop_front();
    }
    --pending_;
    built_ += answer.built ? 1U : 0U;
    answer.done(answer.compiled);
}

}  // namespace vr
