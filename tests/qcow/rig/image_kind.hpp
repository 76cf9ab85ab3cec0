// SPDX-License-Identifier: Apache-2.0
// The kinds of images that the crash test runs over, by name; qemu-img makes them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lunkit/result.hpp"
#include "qcow/sector_cipher.hpp"
#include "rig/process.hpp"
#include "rig/reader.hpp"

namespace lunkit::qcow_rig {

enum class Backing : std::uint8_t { kNone, kRaw, kQcow2, kChain };

struct ImageKind {
    const char* name;
    const char* options;  ///< of qemu-img create -o, without data_file
    std::uint64_t size = 4ULL << 20;
    Backing backing = Backing::kNone;
    std::uint64_t backing_size = 0;  ///< 0 = as the disk
    bool compressed = false;
    bool snapshot = false;
    bool zero_clusters = false;  ///< some of the clusters are zero, with and without space
    bool bitmap = false;
    bool dirty = false;  ///< lazy refcounts, and its writer was killed
    bool luks = false;   ///< encrypted
    bool data_file = false;
    bool data_file_raw = false;  ///< to be kept readable by itself
    bool block_device = false;   ///< on one, which is larger than what is in it
    bool empty = false;          ///< nothing written yet
    bool toy = false;            ///< within what the toy writer can do
};

[[nodiscard]] std::span<const ImageKind> image_kinds();
[[nodiscard]] const ImageKind* find_kind(std::string_view name);

/// An image of a kind, in a folder of its own.
class BuiltImage {
  public:
    static Result<std::unique_ptr<BuiltImage>> build(const ImageKind& kind);

    [[nodiscard]] const ImageKind& kind() const { return kind_; }
    [[nodiscard]] const RunFolder& folder() const { return folder_; }
    [[nodiscard]] std::string path() const { return folder_ / "disk.qcow2"; }
    [[nodiscard]] std::string data_path() const { return folder_ / "disk.data"; }
    /// What the handler is told to open.
    [[nodiscard]] std::string config() const;
    /// By sector: whether it holds the initial stamp, else zeros.
    [[nodiscard]] const std::vector<bool>& initial() const { return initial_; }
    /// How qemu's programs are told of it, when they may not guess its format.
    [[nodiscard]] std::vector<std::string> naming() const;
    /// Of an encrypted image, else null.
    [[nodiscard]] qcow::SectorCipher* cipher() const { return cipher_.get(); }
    /// The backing file, never written; may be null.
    [[nodiscard]] SectorSource* backing() { return backing_.get(); }

  private:
    explicit BuiltImage(const ImageKind& kind) : kind_(kind) {}
    Status make_content();
    Status make_backing();
    Status make_image();
    Status embellish();
    Status unlock();
    [[nodiscard]] std::string options() const;
    [[nodiscard]] std::string secret_path() const { return folder_ / "secret"; }
    [[nodiscard]] std::string secret_object() const {
        return "secret,id=key,file=" + secret_path();
    }

    const ImageKind& kind_;
    RunFolder folder_;
    std::vector<bool> initial_;
    std::unique_ptr<SectorSource> backing_;
    std::unique_ptr<qcow::SectorCipher> cipher_;
};

}  // namespace lunkit::qcow_rig
