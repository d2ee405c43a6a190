//! Cancelling, holding and stopping a run.

use crate::transcript::check;

const TWO_PHASES: &str = "
    a/1: claude, gemini
    b/1: codex
    b: after nothing
    c/1: claude
    c: after a
";

#[test]
fn cancelling_ends_everything_that_lives_and_starts_nothing() {
    check(
        TWO_PHASES,
        "
        begun           => open a; open b; start a/1 on claude; start b/1 on codex
        cancelled: stop => end a/1: cancelled; end b/1: cancelled
        a/1 unavailable => close a cancelled
        cancelled: stop =>
        b/1 cancelled   => close b cancelled; finish cancelled: stop
        b/1 cancelled   =>
        ",
    );
}

#[test]
fn a_run_that_is_cancelled_before_it_began_is_over_at_once() {
    check(
        TWO_PHASES,
        "
        cancelled: never mind => finish cancelled: never mind
        begun                 =>
        ",
    );
}

#[test]
fn a_cancelled_run_waits_for_a_merge_that_is_under_way_and_tells_its_outcome() {
    check(
        "a/1: claude
         b/1: codex",
        "
        begun           => open a; start a/1 on claude
        a/1 done        => gather a
        cancelled: stop =>
        a merged        => close a done; finish cancelled: stop
        ",
    );
}

#[test]
fn a_cancelled_run_waits_for_no_pause_and_no_answer() {
    check(
        "a/1: claude
         a: retry 1 100
         b/1: codex
         b: after nothing; approve",
        "
        begun           => open a; ask b; start a/1 on claude
        a/1 failed      => a/1/2 in 100 ms
        cancelled: stop => close a cancelled; finish cancelled: stop
        a/1 rested      =>
        b approved      =>
        ",
    );
}

#[test]
fn what_is_done_in_a_cancelled_run_is_not_gathered() {
    check(
        "a/1: claude",
        "
        begun           => open a; start a/1 on claude
        cancelled: stop => end a/1: cancelled
        a/1 done        => close a cancelled; finish cancelled: stop
        ",
    );
}

#[test]
fn a_run_that_needs_a_person_lets_the_others_end_and_starts_nothing() {
    check(
        TWO_PHASES,
        "
        begun       => open a; open b; start a/1 on claude; start b/1 on codex
        b/1 asks: y =>
        a/1 done    => gather a
        a merged    => close a done; hold: phase `b` needs attention: worker `1`: codex (y)
        ",
    );
}

#[test]
fn work_that_would_need_a_new_attempt_is_not_gone_on_with_while_a_person_is_needed() {
    check(
        TWO_PHASES,
        "
        begun           => open a; open b; start a/1 on claude; start b/1 on codex
        b/1 asks: y     =>
        a/1 unavailable => hold: phase `b` needs attention: worker `1`: codex (y)
        ",
    );
}

#[test]
fn time_limits_hold_while_a_person_is_needed() {
    check(
        "a/1: claude
         b/1: codex
         b: after nothing",
        "
        begun       => open a; open b; start a/1 on claude; start b/1 on codex
        b/1 asks: y =>
        a/1 expired => end a/1: timed out
        a/1 timed: x => close a failed: worker `1`: claude (ran out of time); close b cancelled
                     ; finish failed: phase `a` failed: worker `1`: claude (ran out of time)
        ",
    );
}

#[test]
fn cancelling_goes_over_a_stop_that_is_under_way() {
    check(
        TWO_PHASES,
        "
        begun           => open a; open b; start a/1 on claude; start b/1 on codex
        a/1 failed: x   => close a failed: worker `1`: claude (x); end b/1: cancelled
        cancelled: stop =>
        b/1 cancelled   => close b cancelled; finish cancelled: stop
        ",
    );
}

#[test]
fn nothing_changes_a_run_that_is_over() {
    check(
        "a/1: claude",
        "
        begun           => open a; start a/1 on claude
        a/1 done        => gather a
        a merged        => close a done; finish done
        a merged        =>
        a/1 done        =>
        a/1 expired     =>
        cancelled: late =>
        begun           =>
        ",
    );
}
