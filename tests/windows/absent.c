/* See absent.h. */
#include "absent.h"

#include <check.h>
#include <stddef.h>
#include <string.h>

/* Groups of which no case applies, so that their files are not built here. */
#define ABSENT_GROUPS(X) \
    X(choice, "a choice among several backends; not ported yet") \
    X(traps, "fork() and epoll; not ported yet") \
    X(hosts, "files of names, where POSIX has them") \
    X(reap, "ends of children that are kept for their parent, which Windows does not do") \
    X(fork, "fork(), which Windows lacks") \
    X(signals, "SIGPIPE, masks and modes of a descriptor, which Windows lacks")

#define SAFE_RAISE "raise(3) on many threads, between which the C library forgets the handler"
#define NAME_SERVER "a name server of the tests' own, which only c-ares can be told to ask"

struct row { const char *suite, *name, *reason; }; /* name NULL: all of the suite */

static const struct row rows[] = {
#define GROUP_ROW(group, reason) { #group, NULL, reason },
    ABSENT_GROUPS(GROUP_ROW)
    { "accept", "full_descriptor_table_is_drained_and_backed_off_from",
      "a limit of descriptors, which Windows lacks" },
    { "accept", "full_descriptor_table_is_no_error_while_nobody_waits",
      "a limit of descriptors, which Windows lacks" },
    { "accept", "cancel_of_an_accept_that_finds_no_descriptor_is_not_forgotten",
      "a limit of descriptors, which Windows lacks" },
    { "accept", "reserve_descriptor_serves_a_second_time",
      "a limit of descriptors, which Windows lacks" },
    { "accept", "listener_closes_while_it_is_backed_off",
      "a limit of descriptors, which Windows lacks" },
    { "connect", "connect_to_a_missing_unix_path_is_enoent",
      "Unix sockets, which wine 8 lacks" },
    { "send", "send_where_none_is_possible_answers_by_the_callback",
      "Unix sockets, which wine 8 lacks" },
    { "connect", "connect_waits_until_a_full_unix_listener_has_room",
      "Unix sockets, which wine 8 lacks" },
    { "adopt", "nonblocking_descriptor_waits_all_the_same_and_stays_nonblocking",
      "modes of a descriptor that can be asked for, which Windows lacks" },
    { "adopt", "loop_close_gives_adopted_descriptors_their_flag_back",
      "modes of a descriptor that can be asked for, which Windows lacks" },
    { "adopt", "what_is_no_socket_says_so_also_when_the_pool_is_empty",
      "a file as an io, which Windows lacks" },
    { "datagram", "datagram_send_waits_for_room_at_a_unix_receiver",
      "Unix sockets, which wine 8 lacks" },
    { "datagram", "datagram_send_that_waits_does_not_spin",
      "Unix sockets, which wine 8 lacks" },
    { "datagram", "seqpackets_keep_their_bounds_and_tell_of_a_cut",
      "Unix sockets, which wine 8 lacks" },
    { "offload", "pool_threads_take_no_signals",
      "masks of signals, which Windows lacks" },
    { "time", "signals_make_no_timer_early_and_no_run_fail",
      "signals of an interval timer, which Windows lacks" },
    { "fiber", "a_deadlock_is_printed_where_the_caller_asks_for_it",
      "a pipe in the place of stderr" },
    { "stream", "reset_connection_is_an_error_and_no_end",
      "Unix sockets, which wine 8 lacks" },
    { "file", "an_open_that_finds_no_descriptor_says_so",
      "a limit of descriptors, which Windows lacks" },
    { "file", "a_fifo_holds_nobody_up", "FIFOs, which Windows lacks" },
    { "path", "symbolic_links_are_made_and_read_and_not_followed",
      "symbolic links, which wine 8 lacks" },
    { "path", "a_replacement_that_has_no_room_leaves_the_file_as_it_was",
      "a limit for files, which Windows lacks" },
    { "path", "a_file_that_seems_empty_to_the_kernel_is_copied", "/proc, which Windows lacks" },
    { "path", "refused_permissions_are_an_error_by_the_callback",
      "another user, which a process cannot become on Windows" },
    { "file_fiber", "in_a_canceled_scope_only_a_close_of_a_file_goes_on",
      "/proc, which Windows lacks" },
    { "send_file", "what_only_a_thread_can_send_is_sent_by_one",
      "a file into a pipe, which is not sent on Windows" },
    { "misuse", "a_full_descriptor_table_is_an_error",
      "a limit of descriptors, which Windows lacks" },
    { "pipe", "sigpipe_that_was_pending_before_a_write_still_is_after_it",
      "SIGPIPE, which Windows lacks" },
    { "pipe", "write_to_a_terminal_that_nobody_reads_blocks_no_turn",
      "ptys, which Windows lacks: terminal/ has cases of its own" },
    { "pipe", "read_of_a_terminal_waits_for_keys_and_ends_when_it_is_gone",
      "ptys, which Windows lacks: terminal/ has cases of its own" },
    { "pipe", "shared_description_keeps_its_flags_even_when_the_reader_is_killed",
      "fork(), which Windows lacks" },
    { "pipe", "fifo_opens_without_waiting_and_says_when_nobody_reads",
      "FIFOs, which Windows lacks" },
    { "process", "a_child_that_has_ended_before_it_is_opened_is_told",
      "fork(), which Windows lacks" },
    { "process", "a_process_that_someone_else_started_is_waited_for",
      "fork(), which Windows lacks" },
    { "process", "an_end_that_a_debugger_holds_back_is_told_once_it_lets_go",
      "ptrace(2), which Windows lacks" },
    { "process", "where_sigchld_is_ignored_an_end_is_told_and_not_how",
      "SIGCHLD, which Windows lacks" },
    { "spawn", "arguments_environment_and_directory_are_as_told",
      "folders of POSIX: kernel/ has cases of its own" },
    { "spawn", "the_name_of_a_program_is_looked_for_in_the_path_of_the_child",
      "folders of POSIX: kernel/ has a case of its own" },
    { "spawn", "what_keeps_a_program_from_running_is_the_result_and_no_child_is_left",
      "folders of POSIX: kernel/ has a case of its own" },
    { "spawn", "a_child_has_the_descriptors_it_was_given_and_none_of_our_200",
      "/proc, which Windows lacks: kernel/ has a case of its own" },
    { "spawn", "descriptors_may_change_places",
      "dup3(2), which Windows lacks: kernel/ has a case of its own" },
    { "spawn", "a_child_may_have_the_rights_of_another_user",
      "another user, which a process cannot become on Windows" },
    { "spawn", "signals_of_a_child_are_as_by_default_or_as_told",
      "masks of signals, which Windows lacks" },
    { "spawn", "a_child_leads_or_joins_a_group_or_a_session",
      "process groups and sessions, which Windows lacks" },
    { "spawn", "a_session_may_have_a_controlling_terminal", "sessions, which Windows lacks" },
    { "ready", "full_pipe_becomes_writable_when_it_is_read",
      "room in a pipe, of which Windows does not tell" },
    { "ready", "end_of_a_pipe_counts_as_usable_on_both_ends",
      "room in a pipe, of which Windows does not tell" },
    { "ready", "eventfd_is_readable_when_it_counts", "eventfd, which Windows lacks" },
    { "ready", "timerfd_is_readable_when_it_is_due", "timerfd, which Windows lacks" },
    { "ready", "terminal_is_readable_when_a_line_was_typed",
      "ptys, which Windows lacks: terminal/ has cases of its own" },
    { "ready", "foreign_epoll_set_is_readable_when_one_of_its_descriptors_is",
      "epoll, which Windows lacks" },
    { "socket", "socket_is_open_close_on_exec_and_gone_after_its_close",
      "Unix sockets, which wine 8 lacks" },
    { "socket", "socket_with_a_full_descriptor_table_is_emfile",
      "a limit of descriptors, which Windows lacks" },
    { "socket", "listen_refuses_a_datagram_socket",
      "WSAEOPNOTSUPP, for which wine 8 says WSAEINVAL" },
    { "socket", "closed_io_has_no_address_and_takes_no_option",
      "WSAENOTSOCK of a pipe, for which wine 8 says WSAEOPNOTSUPP" },
    { "socket", "io_that_was_never_opened_is_not_standard_input",
      "a socket as descriptor 0, which Windows lacks" },
    { "socket", "unix_listener_on_a_path_is_reached_by_its_path",
      "Unix sockets, which wine 8 lacks" },
    { "memory", "posts_from_another_thread_allocate_nothing",
      "semaphores of the test's that allocate nothing, which winpthreads' do at first" },
    { "memory", "no_memory_for_an_io_leaves_the_descriptor_with_the_caller",
      "Unix sockets, which wine 8 lacks" },
    { "stack", "stacks_are_used_again_and_a_crowd_gives_its_memory_back",
      "/proc, which Windows lacks" },
    { "stack", "an_overflow_names_the_fiber_and_ends_the_program",
      "a handler of faults: an overflow ends the program without a word" },
    { "stack", "a_program_that_ends_in_a_fiber_has_leaked_nothing",
      "fork(), which Windows lacks" },
    { "stack", "a_switch_leaves_the_signal_mask_alone", "masks of signals, which Windows lacks" },
    { "watch", "what_is_told_may_be_renamed_in_the_callback",
      "events below a renamed directory, which wine 8 tells by its old name" },
    { "watch", "a_directory_that_is_renamed_tells_by_its_new_name",
      "events below a renamed directory, which wine 8 tells by its old name" },
    { "watch", "a_directory_that_moves_before_it_is_watched_is_found",
      "events below a renamed directory, which wine 8 tells by its old name" },
    { "watch", "the_end_of_what_is_watched_ends_the_watch",
      "the end of a directory, which wine 8 keeps to itself while it is watched" },
    { "watch", "lost_events_are_told_as_lost_and_the_watch_is_whole_again",
      "the limit of a queue of inotify's" },
    { "watch", "no_more_watches_is_enospc", "a limit of watches, which Windows lacks" },
    { "watch", "no_more_descriptors_is_emfile", "a limit of descriptors, which Windows lacks" },
    { "batch", "batch_of_what_is_there_comes_by_one_op",
      "batches of more than one datagram by one receive" },
    { "batch", "batch_waits_for_room_and_goes_on", "Unix sockets, which wine 8 lacks" },
    { "batch", "batch_that_waits_for_its_receiver_does_not_spin",
      "Unix sockets, which wine 8 lacks" },
    { "batch", "batch_canceled_midway_tells_how_many_went", "Unix sockets, which wine 8 lacks" },
    { "batch", "segments_arrive_as_datagrams_whoever_cuts_them",
      "an option that makes the kernel refuse to cut, which Windows lacks" },
    { "batch", "packets_tell_when_they_came", "arrival times, which are not there on Windows" },
    { "batch", "descriptors_that_nobody_asked_for_are_closed",
      "descriptors in messages, which Windows lacks" },
    { "time", "signals_make_no_timer_early_and_no_run_fail",
      "signals that interrupt a wait, which Windows lacks" },
    { "signal", "of_a_storm_from_many_threads_none_is_lost", SAFE_RAISE },
    { "signal", "loops_in_several_threads_all_hear_also_where_it_is_blocked",
      "masks of signals, which Windows lacks" },
    { "signal", "system_calls_of_other_threads_go_on",
      "signals that interrupt a thread, which Windows lacks" },
    { "signal", "in_a_forked_child_a_signal_does_what_it_did_before_and_wakes_no_parent",
      "fork(), which Windows lacks" },
    { "dns", "addresses_of_both_families_come_with_ipv6_first", NAME_SERVER },
    { "dns", "only_the_family_that_is_asked_for_comes", NAME_SERVER },
    { "dns", "services_texts_and_names_of_addresses_are_read", NAME_SERVER },
    { "dns", "what_a_name_server_refuses_is_told_apart_from_what_is_not_there", NAME_SERVER },
    { "dns", "a_malformed_answer_is_an_error_of_the_server", NAME_SERVER },
    { "dns", "a_server_that_is_silent_or_absent_ends_the_look_up", NAME_SERVER },
    { "dns", "a_deadline_ends_a_look_up_before_the_server_answers", NAME_SERVER },
    { "dns", "a_canceled_look_up_ends_at_once_and_leaves_no_socket", NAME_SERVER },
    { "dns", "a_cancel_of_one_look_up_harms_no_other", NAME_SERVER },
    { "dns", "a_loop_closes_while_names_are_looked_up", NAME_SERVER },
    { "dns", "more_records_than_room_are_counted_and_left_out", NAME_SERVER },
    { "dns", "a_truncated_answer_is_asked_for_again_by_tcp", NAME_SERVER },
    { "dns", "a_flood_of_answers_is_read_in_bounded_parts", NAME_SERVER },
    { "dns", "ten_thousand_look_ups_are_in_flight_at_once", NAME_SERVER },
    { "dns", "an_answer_of_any_bytes_does_no_harm", NAME_SERVER },
    { "dns", "a_look_up_waits_without_spinning_and_leaves_nothing_behind", NAME_SERVER },
    { "dns", "a_look_up_beyond_the_limit_of_select_fails_there_and_works_elsewhere", NAME_SERVER },
    { "dns", "settings_are_refused_while_a_look_up_is_alive", NAME_SERVER },
    { "dns", "a_fiber_looks_a_name_up_as_if_it_blocked", NAME_SERVER },
    { "dial", "with_no_way_to_ipv6_ipv4_follows_at_once", NAME_SERVER },
    { "dial", "within_a_family_the_best_address_comes_first", NAME_SERVER },
    { "dial", "ipv4_comes_first_where_it_is_the_better_one", NAME_SERVER },
    { "dial", "a_name_without_ipv6_waits_for_no_delay", NAME_SERVER },
    { "dial", "a_late_answer_for_ipv6_is_waited_for_by_the_resolution_delay", NAME_SERVER },
    { "dial", "an_answer_for_ipv6_that_is_too_late_is_not_waited_for", NAME_SERVER },
    { "dial", "addresses_that_come_while_an_attempt_hangs_are_tried_too", NAME_SERVER },
    { "dial", "every_address_is_tried_before_a_dial_fails", NAME_SERVER },
    { "dial", "a_unix_path_is_dialed_as_well", "Unix sockets, which wine 8 lacks" },
    { "multicast", "bad_groups_and_interfaces_are_refused",
      "joins by the number of an interface, which wine 8 lacks" },
};

const char *absent_reason(const char *suite, const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        if (strcmp(row->suite, suite) == 0 && (row->name == NULL || strcmp(row->name, name) == 0))
            return row->reason;
    }
    return NULL;
}

static Suite *absent(const char *group)
{
    Suite *suite = suite_create(group);
    TCase *tcase = tcase_create("all");
    tcase_add_loop_test(tcase, NULL, 0, 1);
    suite_add_tcase(suite, tcase);
    return suite;
}

#define ABSENT_GROUP(group, reason)  \
    Suite *group_##group(void);      \
    Suite *group_##group(void) { return absent(#group); }
ABSENT_GROUPS(ABSENT_GROUP)
