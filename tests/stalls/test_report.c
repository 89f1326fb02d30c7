/* What a person or another program reads of stalls: made-up ones go in, text, JSON, folded stacks
 * and pictures come out. Python, an independent reader, says whether those are well-formed. */
#include "made.h"

#include "show/format.h"

START_TEST(a_live_line_says_when_how_long_what_and_where)
{
    begin("node server.js");
    report_stall(report, connect_stall(2000, 312));
    ck_assert_str_eq(contents(err), "12:03:07.114    312 ms  one call  waiting  "
                     "connect(23 -> 10.0.0.7:5432)  lib/audit.js:41 logRow\n");
    end();
    clean();
}
END_TEST

START_TEST(live_lines_can_be_turned_off)
{
    struct report_options options = { .command = "x", .threshold_ns = MS };
    begin("x");
    report_close(report);
    report = report_open(&options);
    report_stall(report, connect_stall(2000, 312));
    end();
    ck_assert_str_eq(contents(err), "");
    ck_assert_ptr_nonnull(strstr(contents(out), "logRow"));
    clean();
}
END_TEST

START_TEST(causes_are_ranked_by_time_held_in_all)
{
    begin("node server.js");
    report_stall(report, loop_stall(1000, 150, 7));
    report_stall(report, connect_stall(2000, 80));
    report_stall(report, connect_stall(3000, 120));
    end();
    contents(out);
    const char *first = strstr(text, " 1.  lib/audit.js:41 logRow, waiting in connect(23");
    const char *second = strstr(text, " 2.  /opt/other/rules.py:7 price, computing\n");
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(second);
    ck_assert(first < second);
    ck_assert_ptr_nonnull(strstr(text, "200 ms in all, 2 times, worst 120 ms; one call\n"));
    ck_assert_ptr_nonnull(strstr(text, "150 ms in all, once; one call\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nBy a heartbeat.\nIt exited with 0.\n"));
    /* 350 ms of 10 s. */
    ck_assert_ptr_nonnull(strstr(text, "3 stalls over 20 ms held the loop for 350 ms of 10.0 s "
                                       "(3.5 %)."));
    JSON("assert [round(g[\"held_ms\"]) for g in data[\"groups\"]] == [200, 150]\n"
         "assert data[\"groups\"][0][\"guilty\"][\"function\"] == \"logRow\"\n"
         "assert abs(data[\"held_share\"] - 0.035) < 1e-6");
    clean();
}
END_TEST

START_TEST(a_computation_is_one_cause_on_all_its_lines)
{
    begin("python3 app.py");
    report_stall(report, loop_stall(1000, 30, 7));
    report_stall(report, loop_stall(2000, 40, 9));
    end();
    JSON("assert len(data[\"groups\"]) == 1 and data[\"groups\"][0][\"guilty\"][\"line\"] == 9");
    clean();
}
END_TEST

START_TEST(the_same_wait_at_two_lines_is_two_causes)
{
    begin("node server.js");
    report_stall(report, connect_stall(1000, 30));
    struct stall *other = connect_stall(2000, 30);
    other->stack.frames[3].line = 99;
    report_stall(report, other);
    other = connect_stall(3000, 30);
    other->call_text = text_keep("connect(24 -> 10.0.0.8:5432)"); /* another descriptor: the same */
    report_stall(report, other);
    end();
    JSON("assert sorted(g[\"count\"] for g in data[\"groups\"]) == [1, 2]\n"
         "assert data[\"groups\"][0][\"call\"] == \"connect\"");
    clean();
}
END_TEST

START_TEST(nobody_is_blamed_for_what_the_scheduler_did)
{
    begin("node server.js");
    struct stall *stall = loop_stall(1000, 30, 7);
    stall->kind = STALL_DESCHEDULED;
    report_stall(report, stall);
    report_stall(report, loop_stall(2000, 30, 7));
    end();
    JSON("assert sorted(bool(g[\"guilty\"]) for g in data[\"groups\"]) == [False, True]\n"
         "assert sorted(len(g[\"kinds\"]) for g in data[\"groups\"]) == [1, 1]");
    ck_assert_ptr_nonnull(strstr(contents(out), "no code: ready to run"));
    clean();
}
END_TEST

START_TEST(every_kind_has_its_words_and_a_mixed_cause_counts_them)
{
    begin("node server.js");
    report_stall(report, loop_stall(1000, 100, 7));
    struct stall *stall = loop_stall(2000, 30, 7);
    stall->kind = STALL_COLLECTION;
    report_stall(report, stall);
    stall = loop_stall(3000, 30, 7);
    stall->kind = STALL_MANY_CALLBACKS;
    stall->guilty = -1;
    report_stall(report, stall);
    stall = loop_stall(4000, 25, 7);
    stall->guilty = -1;
    stall->look_count = 0;
    stall->stack.count = 0;
    report_stall(report, stall);
    end();
    contents(out);
    ck_assert_ptr_nonnull(strstr(text, "one call 1, garbage collection 1\n"));
    ck_assert_ptr_nonnull(strstr(text, " many callbacks in one turn\n"));
    ck_assert_ptr_nonnull(strstr(text, "not seen: it was over before it could be looked at\n"));
    contents(err);
    ck_assert_ptr_nonnull(strstr(text, "  garbage collection  running  "));
    clean();
}
END_TEST

START_TEST(runtime_frames_are_one_line_and_the_guilty_one_is_marked)
{
    begin("node server.js");
    report_stall(report, connect_stall(1000, 100));
    end();
    ck_assert_ptr_nonnull(strstr(contents(out),
                                 "       ... 3 frames of libc and node\n"
                                 "     > logRow     lib/audit.js:41\n"
                                 "       onRequest  server.js:17\n"
                                 "       ... 2 frames of node\n"));
    JSON("assert len(data[\"stacks\"][data[\"stalls\"][0][\"stack\"]]) == 7");
    clean();
}
END_TEST

START_TEST(a_frame_without_a_name_is_module_and_offset)
{
    begin("./server");
    struct stall *stall = loop_stall(1000, 30, 7);
    stall->stack.count = 0;
    push(stall, native("?", "/opt/lib/libquery.so.2", false));
    push(stall, native("dispatch", "/opt/bin/server", false));
    report_stall(report, stall);
    end();
    ck_assert_ptr_nonnull(strstr(contents(out), " 1.  libquery.so.2+0x1234, computing\n"));
    ck_assert_ptr_nonnull(strstr(text, "       dispatch              server\n"));
    ck_assert_str_eq(contents(fold), "one call;dispatch (server);libquery.so.2+0x1234 30000\n");
    clean();
}
END_TEST

START_TEST(long_paths_lose_their_middle)
{
    begin("node server.js");
    struct stall *stall = loop_stall(1000, 30, 7);
    stall->stack.frames[0].file = text_keep("/usr/lib/node_modules/some-framework/node_modules/"
                                            "a-dependency-of-it/distribution/build/index.js");
    report_stall(report, stall);
    ck_assert_ptr_nonnull(strstr(contents(err), "  a-dependency-of-it/distribution/build/"
                                 "index.js:7 price\n"));
    stall->stack.frames[0].file = text_keep("/usr/share/some/quite/long/way/down/to/the/very/"
                                            "end/of/it/all/where/lies/file.js");
    report_stall(report, stall);
    ck_assert_ptr_nonnull(strstr(contents(err), "  /usr/.../long/way/down/to/the/very/end/of/it/"
                                 "all/where/lies/file.js:7 price\n"));
    end();
    JSON("assert data[\"stacks\"][0][0][\"file\"].endswith(\"distribution/build/index.js\")");
    clean();
}
END_TEST

/* Nothing but text and line feeds: no escape, no second set of controls, no turned direction. */
static void assert_harmless(const char *path)
{
    contents(path);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        ck_assert_msg(*at == '\n' || *at >= ' ', "%s has byte %d", path, *at);
        ck_assert_int_ne(*at, 127);
        ck_assert_msg(*at != 0xc2 || at[1] >= 0xa0, "%s has a second control", path);
    }
    ck_assert_ptr_null(strstr(text, "\xe2\x80\xae"));
}

START_TEST(hostile_names_do_nothing_to_a_terminal_or_a_file)
{
    static const char evil[] = "a\x1b[2J\x07;<b>&\"'\n\r\x7f\xc2\x9b" "31m\xe2\x80\xae\xff\xc3";
    begin(evil);
    struct stall *stall = loop_stall(1000, 300, 7);
    stall->call_text = text_keep(evil);
    stall->stack.frames[0] = script(FRAME_JAVASCRIPT, evil, evil, 3);
    stall->stack.frames[1] = native(evil, evil, false);
    push(stall, native(evil, evil, true));
    facts.mode_text = evil;
    facts.exit_text = evil;
    report_stall(report, stall);
    end();
    const char *files[] = { out, err, json, fold, svg };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) assert_harmless(files[i]);
    JSON("assert data[\"command\"].startswith(\"a\\x1b[2J\\x07;<b>&\\x22\")");
    SVG("assert not [e for e in data.iter() if e.tag.endswith(\"}b\")]");
    /* One line, and as many frames as there are. */
    contents(fold);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
    int separators = 0;
    for (const char *at = text; *at; at++) separators += *at == ';';
    ck_assert_int_eq(separators, 4);
    clean();
}
END_TEST

START_TEST(names_beyond_ascii_stay_and_are_never_cut_within)
{
    char name[201] = "";
    for (int i = 0; i < 200; i++) name[i] = "\xc3\xa4"[i % 2];
    begin("node server.js");
    struct stall *stall = loop_stall(1000, 30, 7);
    stall->stack.frames[0].function = text_keep(name);
    report_stall(report, stall);
    end();
    ck_assert_ptr_nonnull(strstr(contents(out), "\xc3\xa4\xc3\xa4...\xc3\xa4\xc3\xa4"));
    python("open(sys.argv[1], encoding=\"utf-8\").read()", out, "assert chr(0xfffd) not in data");
    python("open(sys.argv[1], encoding=\"utf-8\").read()", err, "assert data");
    SVG("assert chr(228) * 100 in \"\".join(data.itertext())");
    clean();
}
END_TEST

START_TEST(folded_stacks_begin_at_the_root_and_add_up)
{
    begin("node server.js");
    report_stall(report, connect_stall(1000, 100));
    report_stall(report, connect_stall(2000, 50));
    end();
    ck_assert_str_eq(contents(fold),
                     "one call;uv_run (node);uv__read (node);onRequest (server.js:17);"
                     "logRow (lib/audit.js:41);node+0x1234;Connect::Now (node);"
                     "connect (libc.so.6);[connect] 150000\n");
    clean();
}
END_TEST

START_TEST(the_picture_shows_each_stall_and_who_held)
{
    begin("node server.js");
    report_stall(report, connect_stall(2000, 300));
    report_stall(report, loop_stall(6000, 100, 7));
    end();
    SVG("titles = [e.text for e in data.iter() if e.tag.endswith(\"title\")]\n"
        "assert any(t.startswith(\"300 ms, at 1.000 s, one call\") for t in titles), titles\n"
        "assert any(t == \"logRow\\nlib/audit.js:41\\n300 ms, 75.0 % of all time held\""
        " for t in titles), titles\n"
        "assert any(t.startswith(\"all time held\\n400 ms\") for t in titles)\n"
        "blamed = [e for e in data.iter() if \"blame\" in (e.get(\"class\") or \"\").split()]\n"
        "assert len(blamed) == 2\n"
        "text = \"\".join(data.itertext())\n"
        "assert \"node server.js\" in text and \"seconds\" in text and \"ms\" in text\n"
        "assert \"prefers-color-scheme: dark\" in text");
    clean();
}
END_TEST

START_TEST(boxes_lie_within_the_ones_they_stand_on)
{
    begin("node server.js");
    for (int i = 0; i < 50; i++) {
        report_stall(report, connect_stall(1000 + i, 20 + i));
        report_stall(report, loop_stall(1000 + i, 20 + i * 3, i % 5));
    }
    end();
    SVG("boxes = [g[1] for g in data if g.tag.endswith(\"}g\")]\n"
        "span = lambda b: (float(b.get(\"x\")), float(b.get(\"x\")) + float(b.get(\"width\")))\n"
        "rows = {}\n"
        "for b in boxes: rows.setdefault(float(b.get(\"y\")), []).append(span(b))\n"
        "ys = sorted(rows, reverse=True)\n"
        "assert len(rows[ys[0]]) == 1 and len(ys) > 4\n"
        "for low, high in zip(ys, ys[1:]):\n"
        "    for a, b in rows[high]:\n"
        "        assert any(c <= a + .2 and b <= d + .2 for c, d in rows[low]), (a, b)\n"
        "    row = sorted(rows[high])\n"
        "    assert all(a[1] <= b[0] + .2 for a, b in zip(row, row[1:])), row");
    clean();
}
END_TEST

START_TEST(no_stall_is_one_sentence)
{
    begin("node server.js");
    end();
    ck_assert_ptr_nonnull(strstr(contents(out),
                                 "No stall over 20 ms in 10.0 s (12,345 turns of 1 loop).\n"));
    ck_assert_str_eq(contents(fold), "");
    JSON("assert data[\"stalls\"] == data[\"groups\"] == data[\"stacks\"] == []");
    SVG("assert data is not None");
    clean();
}
END_TEST

START_TEST(no_loop_is_told_instead_of_no_stall)
{
    begin("sleep 10");
    facts.loop_count = 0;
    facts.turn_count = 0;
    facts.mode_text = "Its one thread slept in clock_nanosleep.";
    end();
    ck_assert_ptr_nonnull(strstr(contents(out), "No event loop was seen in 10.0 s."));
    ck_assert_ptr_nonnull(strstr(text, "Its one thread slept"));
    ck_assert_ptr_null(strstr(text, "No stall"));
    JSON("assert data[\"turns\"] is None and data[\"loops\"] == 0");
    clean();
}
END_TEST

START_TEST(several_loops_share_the_time)
{
    begin("node server.js");
    facts.loop_count = 4;
    report_stall(report, connect_stall(2000, 400));
    end();
    /* 400 ms of 4 times 10 s. */
    ck_assert_ptr_nonnull(strstr(contents(out), "held 4 loops for 400 ms of 10.0 s (1.0 %)."));
    clean();
}
END_TEST

START_TEST(text_is_cut_in_its_middle)
{
    char cut[64];
    ck_assert_str_eq(format_elided("abcdefghij", 10, cut, sizeof cut), "abcdefghij");
    ck_assert_str_eq(format_elided("abcdefghijk", 10, cut, sizeof cut), "abc...hijk");
    ck_assert_str_eq(format_elided("", 10, cut, sizeof cut), "");
    ck_assert_uint_eq(format_width("a\xc3\xa4\xe2\x82\xac"), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report");
    UNIT_CASE(suite, a_live_line_says_when_how_long_what_and_where);
    UNIT_CASE(suite, live_lines_can_be_turned_off);
    UNIT_CASE(suite, causes_are_ranked_by_time_held_in_all);
    UNIT_CASE(suite, a_computation_is_one_cause_on_all_its_lines);
    UNIT_CASE(suite, the_same_wait_at_two_lines_is_two_causes);
    UNIT_CASE(suite, nobody_is_blamed_for_what_the_scheduler_did);
    UNIT_CASE(suite, every_kind_has_its_words_and_a_mixed_cause_counts_them);
    UNIT_CASE(suite, runtime_frames_are_one_line_and_the_guilty_one_is_marked);
    UNIT_CASE(suite, a_frame_without_a_name_is_module_and_offset);
    UNIT_CASE(suite, long_paths_lose_their_middle);
    UNIT_CASE(suite, hostile_names_do_nothing_to_a_terminal_or_a_file);
    UNIT_CASE(suite, names_beyond_ascii_stay_and_are_never_cut_within);
    UNIT_CASE(suite, folded_stacks_begin_at_the_root_and_add_up);
    UNIT_CASE(suite, the_picture_shows_each_stall_and_who_held);
    UNIT_CASE(suite, boxes_lie_within_the_ones_they_stand_on);
    UNIT_CASE(suite, no_stall_is_one_sentence);
    UNIT_CASE(suite, no_loop_is_told_instead_of_no_stall);
    UNIT_CASE(suite, several_loops_share_the_time);
    UNIT_CASE(suite, text_is_cut_in_its_middle);
    return unit_run(suite);
}
