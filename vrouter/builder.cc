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
    std::erase_if(cache_, [](const auto& entry) { return entry.second.expired(); });
    Job job{std::move(program), nullptr, std::move(done)};
    if (const auto known = cache_.find(job.program); known != cache_.end()) {
        job.ready = known->second.lock();
    }
    ++pending_;
    {
        const std::lock_guard lock{mutex_};
        jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
}

void Builder::run(const std::stop_token& stop) {
    std::weak_ptr<const acl::Program> last_program;
    std::weak_ptr<const Compiled> last_compiled;
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
        std::shared_ptr<const Compiled> compiled = job.ready;
        // A burst of endpoints with one policy asks for the same program before the first answer.
        if (!compiled && last_program.lock() == job.program) {
            compiled = last_compiled.lock();
        }
        if (!compiled) {
            compiled = std::make_shared<const Compiled>(Compiled{
                acl::Classifier<V4>::build(job.program), acl::Classifier<V6>::build(job.program)});
        }
        last_program = job.program;
        last_compiled = compiled;
        post_([this, job = std::move(job), compiled] { finish(job, compiled); });
    }
}

void Builder::finish(const Job& job, std::shared_ptr<const Compiled> compiled) {
    --pending_;
    if (!job.ready) {
        cache_.insert_or_assign(job.program, compiled);
        ++built_;
    }
    job.done(std::move(compiled));
}

}  // namespace vr
