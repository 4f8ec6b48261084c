// SPDX-License-Identifier: Apache-2.0
#include "vrouter/builder.h"

#include <utility>

namespace vr {

Builder::Builder(std::function<void(std::function<void()>)> post)
    : post_(std::move(post)), thread_([this](const std::stop_token& stop) { run(stop); }) {}

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
    // Whatever some endpoint still uses, or waits for: a burst of endpoints asks for the same few
    // programs in turn, long before the first answer arrives.
    std::map<std::weak_ptr<const acl::Program>, std::weak_ptr<const Compiled>, std::owner_less<>>
        known;
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
            compiled = std::make_shared<const Compiled>(Compiled{
                acl::Classifier<V4>::build(job.program), acl::Classifier<V6>::build(job.program)});
            known[job.program] = compiled;
            std::erase_if(known, [](const auto& entry) { return entry.second.expired(); });
        }
        job.program.reset();
        post_([this, done = std::move(job.done), compiled = std::move(compiled), built] {
            --pending_;
            built_ += built ? 1U : 0U;
            done(compiled);
        });
    }
}

}  // namespace vr
