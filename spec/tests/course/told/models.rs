//! Failover, retries, lost sessions and time limits of one worker.

use crate::transcript::check;

#[test]
fn an_unavailable_model_gives_way_to_the_next() {
    check(
        "work/1: claude, gemini",
        "
        begun              => open work; start work/1 on claude
        work/1 unavailable => start work/1/2 on gemini
        work/1 done        => gather work
        work merged        => close work done; finish done
        work/1 expired     =>
        ",
    );
}

#[test]
fn a_crashed_model_gives_way_to_the_next() {
    check(
        "work/1: claude, gemini",
        "
        begun          => open work; start work/1 on claude
        work/1 crashed => start work/1/2 on gemini
        work/1 done    => gather work
        work merged    => close work done; finish done
        ",
    );
}

#[test]
fn when_no_model_can_be_had_the_failure_lists_every_attempt() {
    check(
        "work/1: claude, gemini",
        "
        begun                            => open work; start work/1 on claude
        work/1 unavailable: rate limited => start work/1/2 on gemini
        work/1 unavailable: no network   => close work failed: worker `1`: claude (rate limited), then gemini (no network)
                                          ; finish failed: phase `work` failed: worker `1`: claude (rate limited), then gemini (no network)
        ",
    );
}

#[test]
fn models_that_may_be_back_soon_are_gone_through_again_after_a_pause_and_the_others_are_not() {
    check(
        "work/1: claude, gemini",
        "
        begun                                   => open work; start work/1 on claude
        work/1 unavailable: no login            => start work/1/2 on gemini
        work/1 throttled for 60000: rate limit  => work/1/3 in 74149 ms
        work/1 rested                           => start work/1/3 on gemini
        work/1 done                             => gather work
        ",
    );
}

#[test]
fn a_conversation_that_was_cut_off_is_taken_up_once_where_no_model_is_left() {
    check(
        "work/1: claude, gemini",
        "
        begun            => open work; start work/1 on claude
        work/1 cut: kill => start work/1/2 on gemini
        work/1 cut: kill => start work/1/3 on gemini
        work/1 cut: kill => close work failed: worker `1`: claude (kill), then gemini (kill), then gemini (kill)
                          ; finish failed: phase `work` failed: worker `1`: claude (kill), then gemini (kill), then gemini (kill)
        ",
    );
}

#[test]
fn a_poor_answer_is_never_failed_over() {
    check(
        "work/1: claude, gemini",
        "
        begun                 => open work; start work/1 on claude
        work/1 failed: exit 1 => close work failed: worker `1`: claude (exit 1)
                               ; finish failed: phase `work` failed: worker `1`: claude (exit 1)
        ",
    );
}

#[test]
fn a_failed_worker_is_tried_again_on_the_same_model_after_a_pause_that_doubles() {
    check(
        "work/1: claude, gemini
         work: retry 3 100",
        "
        begun         => open work; start work/1 on claude
        work/1 failed => work/1/2 in 100 ms
        work/1 rested => start work/1/2 on claude
        work/1 failed => work/1/3 in 200 ms
        work/1 rested => start work/1/3 on claude
        work/1 failed => work/1/4 in 400 ms
        work/1 rested => start work/1/4 on claude
        work/1 done   => gather work
        work merged   => close work done; finish done
        ",
    );
}

#[test]
fn a_worker_is_tried_again_only_as_often_as_the_plan_says() {
    check(
        "work/1: claude
         work: retry 1 100",
        "
        begun             => open work; start work/1 on claude
        work/1 failed: no => work/1/2 in 100 ms
        work/1 rested     => start work/1/2 on claude
        work/1 failed: no => close work failed: worker `1`: claude (no), then claude (no)
                           ; finish failed: phase `work` failed: worker `1`: claude (no), then claude (no)
        ",
    );
}

#[test]
fn a_retry_without_a_pause_starts_at_once() {
    check(
        "work/1: claude
         work: retry 1 0",
        "
        begun         => open work; start work/1 on claude
        work/1 failed => start work/1/2 on claude
        ",
    );
}

#[test]
fn a_pause_never_grows_past_its_bound() {
    check(
        "work/1: claude
         work: retry 2 3000000",
        "
        begun         => open work; start work/1 on claude
        work/1 failed => work/1/2 in 3000000 ms
        work/1 rested => start work/1/2 on claude
        work/1 failed => work/1/3 in 3600000 ms
        ",
    );
}

#[test]
fn a_retry_goes_on_with_the_model_that_worked_last_and_fails_over_from_there() {
    check(
        "work/1: claude, gemini, codex
         work: retry 1 0",
        "
        begun              => open work; start work/1 on claude
        work/1 unavailable => start work/1/2 on gemini
        work/1 failed      => start work/1/3 on gemini
        work/1 unavailable => start work/1/4 on codex
        work/1 done        => gather work
        ",
    );
}

#[test]
fn a_time_limit_ends_an_attempt_and_is_answered_by_no_other_model_and_no_retry() {
    check(
        "work/1: claude, gemini
         work: timeout 60000; retry 3 100",
        "
        begun            => open work; start work/1 on claude; work/1 has 60000 ms
        work/1 started   =>
        work/1 expired   => end work/1: timed out
        work/1 timed out => close work failed: worker `1`: claude (ran out of time)
                          ; finish failed: phase `work` failed: worker `1`: claude (ran out of time)
        ",
    );
}

#[test]
fn a_time_limit_that_has_passed_counts_whatever_the_end_is_called() {
    check(
        "work/1: claude, gemini
         work: retry 3 100",
        "
        begun              => open work; start work/1 on claude
        work/1 expired     => end work/1: timed out
        work/1 unavailable => close work failed: worker `1`: claude (ran out of time)
                            ; finish failed: phase `work` failed: worker `1`: claude (ran out of time)
        ",
    );
}

#[test]
fn a_worker_that_is_done_before_its_ending_took_hold_is_done() {
    check(
        "work/1: claude",
        "
        begun          => open work; start work/1 on claude
        work/1 expired => end work/1: timed out
        work/1 done    => gather work
        work/1 timed   =>
        work merged    => close work done; finish done
        ",
    );
}

#[test]
fn a_time_limit_passes_once() {
    check(
        "work/1: claude",
        "
        begun          => open work; start work/1 on claude
        work/1 expired => end work/1: timed out
        work/1 expired =>
        ",
    );
}

#[test]
fn a_time_limit_of_an_earlier_attempt_ends_nothing() {
    check(
        "work/1: claude, gemini",
        "
        begun              => open work; start work/1 on claude
        work/1 unavailable => start work/1/2 on gemini
        work/1/1 expired   =>
        ",
    );
}

#[test]
fn no_session_lives_longer_than_the_limit_of_every_agent() {
    check(
        "run: timeout_per_agent_ms 5000
         work/1: claude
         work: timeout 60000",
        "begun => open work; start work/1 on claude; work/1 has 5000 ms",
    );
}

#[test]
fn a_lost_session_is_a_failure() {
    check(
        "work/1: claude, gemini",
        "
        begun             => open work; start work/1 on claude
        work/1 lost: gone => close work failed: worker `1`: claude (gone)
                           ; finish failed: phase `work` failed: worker `1`: claude (gone)
        ",
    );
}

#[test]
fn a_lost_session_is_tried_again_by_the_rule_for_failures() {
    check(
        "work/1: claude
         work: retry 1 100; on_lost fail",
        "
        begun         => open work; start work/1 on claude
        work/1 lost   => work/1/2 in 100 ms
        work/1 rested => start work/1/2 on claude
        work/1 lost: gone => close work failed: worker `1`: claude (it failed), then claude (gone)
            ; finish failed: phase `work` failed: worker `1`: claude (it failed), then claude (gone)
        ",
    );
}

#[test]
fn a_lost_session_is_started_again_where_the_plan_says_so_but_not_for_ever() {
    check(
        "work/1: claude
         work: on_lost restart",
        "
        begun           => open work; start work/1 on claude
        work/1 lost: a  => start work/1/2 on claude
        work/1 lost: b  => start work/1/3 on claude
        work/1 lost: c  => start work/1/4 on claude
        work/1 lost: d  => close work failed: worker `1`: claude (a), then claude (b), then claude (c), then claude (d)
            ; finish failed: phase `work` failed: worker `1`: claude (a), then claude (b), then claude (c), then claude (d)
        ",
    );
}

#[test]
fn restarts_of_lost_sessions_leave_the_retries_untouched() {
    check(
        "work/1: claude
         work: on_lost restart; retry 1 10",
        "
        begun         => open work; start work/1 on claude
        work/1 lost   => work/1/2 in 10 ms
        work/1 rested => start work/1/2 on claude
        work/1 failed => work/1/3 in 20 ms
        work/1 rested => start work/1/3 on claude
        work/1 done   => gather work
        ",
    );
}

#[test]
fn a_worker_that_a_person_ends_has_failed_and_is_not_tried_again() {
    check(
        "work/1: claude, gemini
         work: retry 3 0",
        "
        begun            => open work; start work/1 on claude
        work/1 cancelled => close work failed: worker `1`: claude (was ended by hand)
                          ; finish failed: phase `work` failed: worker `1`: claude (was ended by hand)
        ",
    );
}

#[test]
fn a_worker_that_waits_for_a_person_is_not_tried_again() {
    check(
        "work/1: claude, gemini
         work: retry 3 0",
        "
        begun                => open work; start work/1 on claude
        work/1 asks: may I?  => hold: phase `work` needs attention: worker `1`: claude (may I?)
        ",
    );
}

#[test]
fn news_of_an_earlier_attempt_changes_nothing() {
    check(
        "work/1: claude, gemini",
        "
        begun              => open work; start work/1 on claude
        work/1 unavailable => start work/1/2 on gemini
        work/1/1 done      =>
        work/1/1 started   =>
        work/1/1 failed    =>
        work/1/2 done      => gather work
        ",
    );
}

#[test]
fn news_of_an_attempt_that_was_never_made_changes_nothing() {
    check(
        "work/1: claude",
        "
        work/1 done   =>
        begun         => open work; start work/1 on claude
        work/1/2 done =>
        work/9 done   =>
        other/1 done  =>
        work/merge/1 done =>
        work/1 rested =>
        begun         =>
        ",
    );
}
