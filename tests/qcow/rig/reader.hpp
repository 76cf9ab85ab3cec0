// SPDX-License-Identifier: Apache-2.0
// A minimal read-only qcow2, from the specification, over an image in memory: what a disk holds
// after a crash. Slow where it does not matter (compressed clusters), without copies where it does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "lunkit/result.hpp"
#include "qcow/sector_cipher.hpp"
#include "rig/layout.hpp"

namespace lunkit::qcow_rig {

/// A disk that gives its sectors.
class SectorSource {
  public:
    virtual ~SectorSource() = default;
    [[nodiscard]] virtual std::uint64_t sectors() const = 0;
    /// 512 bytes, valid until the next call; nullptr: the image is damaged there (see why()).
    virtual const std::byte* sector(std::uint64_t number) = 0;
    [[nodiscard]] virtual std::string why() const { return {}; }

    SectorSource(const SectorSource&) = delete;
    SectorSource& operator=(const SectorSource&) = delete;
    SectorSource(SectorSource&&) = delete;
    SectorSource& operator=(SectorSource&&) = delete;

  protected:
    SectorSource() = default;
};

/// Bytes as they are; a short last sector is filled up with zeros.
class RawSource final : public SectorSource {
  public:
    explicit RawSource(Bytes bytes);
    [[nodiscard]] std::uint64_t sectors() const override { return bytes_.size() / kSector; }
    const std::byte* sector(std::uint64_t number) override { return &bytes_[number * kSector]; }

  private:
    Bytes bytes_;
};

/// Inflated clusters, kept from cut to cut; used again as long as their compressed bytes are the
/// same.
class InflatedClusters {
  public:
    /// One whole cluster, or nullptr.
    const std::byte* find(ImageView image, const Layout& layout, std::uint64_t entry);

  private:
    struct Kept {
        Bytes packed;
        Bytes cluster;  // empty: they do not inflate
    };
    std::map<std::uint64_t, Kept> kept_;  // by L2 entry
};

class QcowReader final : public SectorSource {
  public:
    /// Views and pointers are others' and outlive the reader; `backing` may be null, `data_file` is
    /// used with the external data file bit, `cipher` is an encrypted image's, else null.
    static Result<std::unique_ptr<QcowReader>> open(ImageView image, SectorSource* backing,
                                                    ImageView data_file, InflatedClusters& inflated,
                                                    qcow::SectorCipher* cipher);
    [[nodiscard]] std::uint64_t sectors() const override { return layout_.size / kSector; }
    const std::byte* sector(std::uint64_t number) override;
    [[nodiscard]] std::string why() const override { return why_; }
    [[nodiscard]] const Layout& layout() const { return layout_; }

  private:
    QcowReader(ImageView image, const Layout& layout, SectorSource* backing, ImageView data_file,
               InflatedClusters& inflated, qcow::SectorCipher* cipher)
        : image_(image),
          layout_(layout),
          backing_(backing),
          data_file_(data_file),
          inflated_(inflated),
          cipher_(cipher) {}
    const std::byte* from_backing(std::uint64_t number);
    const std::byte* from_host(std::uint64_t entry, std::uint64_t guest);
    const std::byte* decrypted(std::uint64_t at, const std::byte* sector);

    ImageView image_;
    Layout layout_;
    SectorSource* backing_;
    ImageView data_file_;
    InflatedClusters& inflated_;
    std::string why_;
    qcow::SectorCipher* cipher_;
    Bytes last_sector_;             // one that the end of the file cuts
    Bytes clear_;                   // one that was decrypted
    std::uint64_t last_entry_ = 0;  // of a compressed cluster, and that cluster
    const std::byte* last_cluster_ = nullptr;
};

/// What `qemu-img` sees as the content of a file that has neither backing nor data file, or whose
/// backing is given.
[[nodiscard]] Result<Bytes> read_all(SectorSource& source);

}  // namespace lunkit::qcow_rig
