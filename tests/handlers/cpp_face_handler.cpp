// SPDX-License-Identifier: Apache-2.0
// A handler for cpp_face_test.cpp: what the C++ face makes of a class that overrides little.
#include <cerrno>
#include <memory>
#include <string>

#include "lunkit/handler.hpp"

namespace lunkit::test {

class CppFace final : public BlockDevice {
  public:
    static Result<std::unique_ptr<CppFace>> open(const OpenRequest& request) {
        if (request.config == "refuse") {
            return failure(ENXIO, "asked to refuse");
        }
        return std::make_unique<CppFace>(request);
    }
    explicit CppFace(const OpenRequest& request)
        : bytes_(request.size, 'x'), later_(request.config == "later") {}

    [[nodiscard]] DeviceInfo info() const override {
        DeviceInfo info;
        info.size = bytes_.size();
        info.can_discard = true;
        return info;
    }
    Task<Status> read(Queue& queue, const IoRequest& io) override {
        if (later_) {
            (void)co_await queue.yield();
        }
        copy_to_iov(*io.data, io.data_offset,
                    std::as_bytes(std::span(bytes_).subspan(io.offset, io.length)));
        co_return Status{};
    }
    Task<Status> write(Queue& queue, const IoRequest& io) override {
        if (later_) {
            (void)co_await queue.sleep(std::chrono::nanoseconds(1));
        }
        if (io.offset == 4096) {
            co_return std::unexpected(Error{EIO, {}, 512, ErrorClass::kMedium});
        }
        copy_from_iov(*io.data, io.data_offset,
                      std::as_writable_bytes(std::span(bytes_).subspan(io.offset, io.length)));
        co_return Status{};
    }
    Task<Status> flush(Queue& /*queue*/) override { co_return Status{}; }
    /// The runner writes zeros instead.
    Task<Status> write_zeroes(Queue& /*queue*/, const IoRequest& /*io*/) override {
        co_return failure(EOPNOTSUPP);
    }

  private:
    std::string bytes_;
    bool later_;
};

}  // namespace lunkit::test

LUNKIT_HANDLER(lunkit::test::CppFace, "cpp_face", "for a test", "");
