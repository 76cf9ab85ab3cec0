// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class ModeSense : public LogicalUnitTest {
  protected:
    static constexpr std::uint8_t kDbd = 0x08;
    static constexpr std::uint8_t kLlbaa = 0x10;

    static Bytes six(std::uint8_t page, std::uint8_t flags = kDbd, std::uint8_t subpage = 0,
                     std::uint8_t allocation_length = 255) {
        return {0x1a, flags, page, subpage, allocation_length, 0};
    }
    static Bytes ten(std::uint8_t page, std::uint8_t flags = kDbd, std::uint8_t subpage = 0,
                     std::uint16_t allocation_length = 512) {
        return {0x5a,
                flags,
                page,
                subpage,
                0,
                0,
                0,
                static_cast<std::uint8_t>(allocation_length >> 8U),
                static_cast<std::uint8_t>(allocation_length),
                0};
    }
    /// The one page, without header.
    Bytes page(std::uint8_t page_code, std::uint8_t control = 0) {
        const Reply reply = in(six(static_cast<std::uint8_t>(page_code | (control << 6U))));
        EXPECT_TRUE(is_good(reply));
        return {reply.data.begin() + 4, reply.data.end()};
    }
};

TEST_F(ModeSense, GivesTheCachingPage) {
    Bytes expected(20);
    expected[0] = 0x08;
    expected[1] = 0x12;
    expected[2] = 0x04;
    EXPECT_EQ(page(0x08), expected);
    options.write_cache = false;
    restart();
    expected[2] = 0;
    EXPECT_EQ(page(0x08), expected);
}

TEST_F(ModeSense, GivesTheControlPage) {
    EXPECT_EQ(page(0x0a), (Bytes{0x0a, 0x0a, 0x02, 0x10, 0, 0x40, 0, 0, 0xff, 0xff, 0, 0}));
}

TEST_F(ModeSense, GivesTheErrorAndExceptionPages) {
    EXPECT_EQ(page(0x01), (Bytes{0x01, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(page(0x1c), (Bytes{0x1c, 0x0a, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_F(ModeSense, GivesAllPagesInOrder) {
    Bytes expected;
    for (const std::uint8_t code : Bytes{0x01, 0x08, 0x0a, 0x1c}) {
        const Bytes one = page(code);
        expected.insert(expected.end(), one.begin(), one.end());
    }
    EXPECT_EQ(page(0x3f), expected);
    EXPECT_EQ(in(six(0x3f, kDbd, 0xff)).data, in(six(0x3f)).data);
}

TEST_F(ModeSense, SaysWhatMayBeChanged) {
    Bytes caching(20);
    caching[0] = 0x08;
    caching[1] = 0x12;
    caching[2] = 0x04;
    EXPECT_EQ(page(0x08, 1), caching);
    EXPECT_EQ(page(0x0a, 1), (Bytes{0x0a, 0x0a, 0x04, 0, 0x08, 0, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(page(0x1c, 1), (Bytes{0x1c, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_F(ModeSense, RemembersTheDefaults) {
    switch_write_cache(false);
    (void)run({0x00, 0, 0, 0, 0, 0});  // takes the unit attention
    EXPECT_EQ(page(0x08, 0).at(2), 0);
    EXPECT_EQ(page(0x08, 2).at(2), 0x04);
}

TEST_F(ModeSense, HasNoSavedValues) {
    EXPECT_TRUE(is_check(in(six(0xc8)), 0x5, 0x3900));
    EXPECT_TRUE(is_check(in(ten(0xff)), 0x5, 0x3900));
}

TEST_F(ModeSense, PutsAHeaderAndABlockDescriptorBefore) {
    const Reply reply = in(six(0x0a, 0));
    EXPECT_EQ((Bytes{reply.data.begin(), reply.data.begin() + 12}),
              (Bytes{23, 0, 0x10, 8, 0, 0, 0x08, 0, 0, 0, 0x02, 0}));
    EXPECT_EQ(reply.data.size(), 24U);
}

TEST_F(ModeSense, OfTenBytesHasALongerHeader) {
    const Reply reply = in(ten(0x0a, 0));
    EXPECT_EQ((Bytes{reply.data.begin(), reply.data.begin() + 16}),
              (Bytes{0, 26, 0, 0x10, 0, 0, 0, 8, 0, 0, 0x08, 0, 0, 0, 0x02, 0}));
    EXPECT_EQ(reply.data.size(), 28U);
}

TEST_F(ModeSense, GivesTheLongBlockDescriptorWhenAllowed) {
    const Reply reply = in(ten(0x0a, kLlbaa));
    EXPECT_EQ(
        (Bytes{reply.data.begin(), reply.data.begin() + 24}),
        (Bytes{0, 34, 0, 0x10, 1, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0x08, 0, 0, 0, 0, 0, 0, 0, 0x02, 0}));
}

TEST_F(ModeSense, TellsLargeMediaInTheShortDescriptorByOnes) {
    device.properties.size = (std::uint64_t{1} << 32U) * kBlock;
    restart();
    const Reply reply = in(six(0x0a, 0));
    EXPECT_EQ(get_be32(std::span(reply.data).subspan(4)), 0xffffffffU);
}

TEST_F(ModeSense, TellsWriteProtection) {
    device.properties.read_only = true;
    restart();
    EXPECT_EQ(in(six(0x3f)).data.at(2), 0x90);
    EXPECT_EQ(in(ten(0x3f)).data.at(3), 0x90);
}

TEST_F(ModeSense, IsCutToTheAllocationLength) {
    const Reply reply = in(six(0x3f, 0, 0, 4));
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data.size(), 4U);
    EXPECT_EQ(reply.data.at(0), 67);  // what there would be
}

TEST_F(ModeSense, RefusesPagesItDoesNotHave) {
    EXPECT_TRUE(is_invalid_cdb_field(in(six(0x02)), 2));
    EXPECT_TRUE(is_invalid_cdb_field(in(ten(0x19)), 2));
    EXPECT_TRUE(is_invalid_cdb_field(in(six(0x0a, kDbd, 0x05)), 3));
}

class ModeSelect : public ModeSense {
  protected:
    static constexpr std::uint8_t kPf = 0x10;

    static Bytes list6(Bytes pages, Bytes descriptor = {}) {
        Bytes list{0, 0, 0, static_cast<std::uint8_t>(descriptor.size())};
        list.insert(list.end(), descriptor.begin(), descriptor.end());
        list.insert(list.end(), pages.begin(), pages.end());
        return list;
    }
    Reply select6(const Bytes& list, std::uint8_t flags = kPf) {
        return out({0x15, flags, 0, 0, static_cast<std::uint8_t>(list.size()), 0}, list);
    }
    Reply select10(const Bytes& list, std::uint8_t flags = kPf) {
        return out({0x55, flags, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(list.size() >> 8U),
                    static_cast<std::uint8_t>(list.size()), 0},
                   list);
    }
    /// A page as it is, with one byte changed.
    Bytes with(std::uint8_t page_code, std::size_t at, std::uint8_t value) {
        Bytes bytes = page(page_code);
        bytes.at(at) = value;
        return bytes;
    }
};

TEST_F(ModeSelect, SwitchesTheWriteCacheOff) {
    EXPECT_TRUE(is_good(out(cdb10(0x2a, 0, 0, 1), blocks(1, 0x11))));
    EXPECT_TRUE(is_good(select6(list6(with(0x08, 2, 0)))));
    EXPECT_FALSE(unit->write_cache());
    EXPECT_EQ(initiators.write_cache_changes, (std::vector<bool>{false}));
    EXPECT_EQ(page(0x08).at(2), 0);
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 0x11)) << "what was cached before is durable now";
    EXPECT_TRUE(is_good(out(cdb10(0x2a, 0, 1, 1), blocks(1, 0x22))));
    device.lose_power();
    EXPECT_TRUE(medium_is(1, 1, 0x22)) << "what is written from now on as well";
}

TEST_F(ModeSelect, SwitchesTheWriteCacheOnAgain) {
    EXPECT_TRUE(is_good(select6(list6(with(0x08, 2, 0)))));
    EXPECT_TRUE(is_good(select6(list6(with(0x08, 2, 4)))));
    EXPECT_TRUE(unit->write_cache());
    EXPECT_EQ(initiators.write_cache_changes, (std::vector<bool>{false, true}));
}

TEST_F(ModeSelect, KeepsTheCacheOnWhenTheFlushFails) {
    device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_TRUE(is_check(select6(list6(with(0x08, 2, 0))), 0x3, 0x0c00));
    EXPECT_TRUE(unit->write_cache());
    EXPECT_TRUE(initiators.write_cache_changes.empty());
}

/// MODE SELECT of WCE, which runs beside others.
class WriteCacheSwitch : public ModeSelect {
  protected:
    struct Switch {
        explicit Switch(const Bytes& list)
            : exchange({0x15, kPf, 0, 0, static_cast<std::uint8_t>(list.size()), 0}, list) {}
        Exchange exchange;
        bool ended = false;
        [[nodiscard]] bool is_good() const {
            return ended && exchange.command.status == StatusCode::kGood;
        }
    };
    WriteCacheSwitch() { device.suspends = true; }
    Detached run_switch(Switch& one) {
        co_await unit->execute(queue, one.exchange.command);
        one.ended = true;
    }
    Bytes list(bool enabled) { return list6(with(0x08, 2, enabled ? 0x04 : 0)); }
};

TEST_F(WriteCacheSwitch, DoesNotBelieveOneThatMayFail) {
    Switch first(list(false));
    Switch second(list(false));
    device.fail_next(Kind::kFlush, Error{EIO});
    device.fail_next(Kind::kFlush, Error{EIO});
    run_switch(first);
    run_switch(second);
    EXPECT_FALSE(second.ended) << "it cannot know yet";
    queue.run_all();
    EXPECT_TRUE(first.ended && second.ended);
    EXPECT_FALSE(first.is_good() || second.is_good());
    EXPECT_TRUE(unit->write_cache());
    EXPECT_TRUE(initiators.write_cache_changes.empty());
}

TEST_F(WriteCacheSwitch, OneAfterAFailureIsMadeByItself) {
    Switch first(list(false));
    Switch second(list(false));
    device.fail_next(Kind::kFlush, Error{EIO});
    run_switch(first);
    run_switch(second);
    queue.run_all();
    EXPECT_FALSE(first.is_good());
    EXPECT_TRUE(second.is_good());
    EXPECT_FALSE(unit->write_cache());
    EXPECT_EQ(initiators.write_cache_changes, (std::vector<bool>{false}));
}

TEST_F(WriteCacheSwitch, TheLastOneIsWhatTheFrontEndHears) {
    Switch off(list(false));
    Switch on(list(true));
    run_switch(off);
    run_switch(on);
    queue.run_all();
    EXPECT_TRUE(off.is_good() && on.is_good());
    EXPECT_TRUE(unit->write_cache());
    EXPECT_EQ(initiators.write_cache_changes, (std::vector<bool>{false, true}));
}

TEST_F(WriteCacheSwitch, FromOutsideWaitsForOneThatRuns) {
    Switch off(list(false));
    run_switch(off);
    switch_write_cache(true);
    queue.run_all();
    EXPECT_TRUE(off.is_good());
    EXPECT_TRUE(unit->write_cache());
    EXPECT_EQ(initiators.write_cache_changes, (std::vector<bool>{false}));
    EXPECT_TRUE(is_check(run({0x00, 0, 0, 0, 0, 0}), 0x6, 0x2a01));
}

TEST_F(WriteCacheSwitch, OtherPagesLeaveTheCacheAloneAlsoWhenRepeated) {
    Switch control(list6(with(0x0a, 2, 0x06)));
    control.exchange.command.replay = true;
    Switch off(list(false));
    run_switch(off);
    run_switch(control);
    EXPECT_TRUE(control.is_good());
    queue.run_all();
    EXPECT_EQ(device.count(Kind::kFlush), 1U);
}

TEST_F(ModeSelect, WithoutAChangeDoesNotBotherTheFrontEnd) {
    EXPECT_TRUE(is_good(select6(list6(page(0x08)))));
    EXPECT_TRUE(initiators.write_cache_changes.empty());
    EXPECT_EQ(device.count(Kind::kFlush), 0U);
}

TEST_F(ModeSelect, TakesWhatModeSenseGave) {
    EXPECT_TRUE(is_good(select6(list6(page(0x3f)))));
    const Bytes list = [&] {
        Bytes bytes = in(ten(0x3f, kLlbaa)).data;
        bytes[0] = bytes[1] = 0;
        return bytes;
    }();
    EXPECT_TRUE(is_good(select10(list)));
    const Bytes descriptor{0, 0, 0x08, 0, 0, 0, 0x02, 0};
    EXPECT_TRUE(is_good(select6(list6(page(0x0a), descriptor))));
}

TEST_F(ModeSelect, SwitchesToDescriptorSense) {
    EXPECT_TRUE(is_good(select6(list6(with(0x0a, 2, 0x06)))));
    const Reply reply = in(cdb16(0x88, 0, ~std::uint64_t{0}, 1));
    EXPECT_EQ(reply.sense.at(0), 0x72);
    EXPECT_TRUE(is_check(reply, 0x5, 0x2100));
}

TEST_F(ModeSelect, WriteProtectsTheUnit) {
    EXPECT_TRUE(is_good(select6(list6(with(0x0a, 4, 0x08)))));
    EXPECT_EQ(page(0x0a).at(4), 0x08);
    EXPECT_EQ(in(six(0x3f)).data.at(2), 0x90);
    EXPECT_TRUE(is_good(in(cdb10(0x28, 0, 0, 1), kBlock)));
    EXPECT_TRUE(is_check(out(cdb10(0x2a, 0, 0, 1), blocks(1, 1)), 0x7, 0x2702));
    EXPECT_TRUE(is_good(select6(list6(with(0x0a, 4, 0)))));
    EXPECT_TRUE(is_good(out(cdb10(0x2a, 0, 0, 1), blocks(1, 1))));
}

TEST_F(ModeSelect, RaisesNoAttentionForTheInitiatorThatSentIt) {
    EXPECT_TRUE(is_good(select6(list6(with(0x08, 2, 0)))));
    EXPECT_TRUE(is_good(run({0x00, 0, 0, 0, 0, 0})));
}

TEST_F(ModeSelect, RefusesToChangeWhatIsFixed) {
    EXPECT_TRUE(is_invalid_list_field(select6(list6(with(0x08, 2, 0x05))), 4 + 2));
    EXPECT_TRUE(is_invalid_list_field(select6(list6(with(0x0a, 8, 0x00))), 4 + 8));
    EXPECT_TRUE(is_invalid_list_field(
        select10(Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0x1c, 0x0a, 0x08, 1, 0, 0, 0, 0, 0, 0, 0, 0}),
        8 + 3));
}

TEST_F(ModeSelect, AppliesNothingOfAListWithAnError) {
    Bytes pages = with(0x08, 2, 0);
    const Bytes bad = with(0x0a, 8, 0);
    pages.insert(pages.end(), bad.begin(), bad.end());
    EXPECT_TRUE(is_invalid_list_field(select6(list6(pages)), 4 + 20 + 8));
    EXPECT_TRUE(unit->write_cache());
}

TEST_F(ModeSelect, RefusesPagesItDoesNotHave) {
    EXPECT_TRUE(is_invalid_list_field(select6(list6({0x02, 0x0e})), 4));
    EXPECT_TRUE(is_invalid_list_field(select6(list6({0x4a, 0x05, 0, 0})), 4));
    EXPECT_TRUE(
        is_invalid_list_field(select6(list6({0x08, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})), 5));
}

TEST_F(ModeSelect, RefusesAListThatIsCut) {
    const Bytes whole = list6(page(0x08));
    for (std::size_t length = 1; length < whole.size(); ++length) {
        if (length == 4) {
            continue;  // a header alone is a list without pages
        }
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        EXPECT_TRUE(is_check(select6(cut), 0x5, 0x1a00)) << length;
    }
    EXPECT_TRUE(is_check(select6({0, 0, 0, 8, 0, 0}), 0x5, 0x1a00));
}

TEST_F(ModeSelect, RefusesAnotherCapacityOrBlockLength) {
    EXPECT_TRUE(
        is_invalid_list_field(select6(list6(page(0x08), {0, 0, 0x07, 0, 0, 0, 0x02, 0})), 4));
    EXPECT_TRUE(
        is_invalid_list_field(select6(list6(page(0x08), {0, 0, 0x08, 0, 0, 0, 0x10, 0})), 4 + 5));
    EXPECT_TRUE(is_invalid_list_field(select6({0, 0, 0, 7}), 3));
}

TEST_F(ModeSelect, RefusesABufferShorterThanTheParameterList) {
    EXPECT_TRUE(is_check(out({0x15, kPf, 0, 0, 24, 0}, Bytes(4)), 0x5, 0x0e03));
    EXPECT_TRUE(
        is_check(out({0x55, kPf, 0, 0, 0, 0, 0, 0xff, 0xff, 0}, Bytes(65535)), 0x5, 0x1a00));
}

TEST_F(ModeSelect, WithoutParameterListChangesNothing) {
    EXPECT_TRUE(is_good(run({0x15, kPf, 0, 0, 0, 0})));
}

TEST_F(ModeSelect, RefusesToSaveAndVendorFormats) {
    EXPECT_TRUE(is_invalid_cdb_field(select6(list6(page(0x08)), kPf | 0x01), 1));
    EXPECT_TRUE(is_invalid_cdb_field(select6(list6(page(0x08)), 0), 1));
}

}  // namespace
}  // namespace lunkit::scsi::test
