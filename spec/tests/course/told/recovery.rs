//! What a restarted node has to put to its owners.

use crate::transcript::check;

#[test]
fn what_lives_and_its_time_limit_are_asked_about_again() {
    check(
        "work/1: claude, gemini
         work/2: codex
         work: timeout 1000",
        "
        restart            =>
        begun              => open work; start work/1 on claude; work/1 has 1000 ms; start work/2 on codex; work/2 has 1000 ms
        work/1 unavailable => start work/1/2 on gemini; work/1/2 has 1000 ms
        restart            => start work/1/2 on gemini; work/1/2 has 1000 ms; start work/2 on codex; work/2 has 1000 ms
        work/2 done        =>
        restart            => start work/1/2 on gemini; work/1/2 has 1000 ms
        ",
    );
}

#[test]
fn an_ending_is_asked_for_again_and_its_time_limit_is_not() {
    check(
        "work/1: claude
         work: timeout 1000",
        "
        begun           => open work; start work/1 on claude; work/1 has 1000 ms
        work/1 expired  => end work/1: timed out
        restart         => start work/1 on claude; end work/1: timed out
        work/1 timed: x => close work failed: worker `1`: claude (ran out of time); finish failed: phase `work` failed: worker `1`: claude (ran out of time)
        restart         =>
        ",
    );
}

#[test]
fn pauses_questions_and_merges_are_asked_about_again() {
    check(
        "a/1: claude
         a: retry 1 100
         b/1: codex
         b: after nothing; approve
         c/1: gemini
         c: after nothing",
        "
        begun      => open a; ask b; open c; start a/1 on claude; start c/1 on gemini
        a/1 failed => a/1/2 in 100 ms
        c/1 done   => gather c
        restart    => a/1/2 in 100 ms; ask b; gather c
        a/1 rested => start a/1/2 on claude
        restart    => start a/1/2 on claude; ask b; gather c
        c merged   => close c done
        b approved => open b; start b/1 on codex
        restart    => start a/1/2 on claude; start b/1 on codex
        ",
    );
}

#[test]
fn what_no_longer_matters_is_not_asked_about_again() {
    check(
        "a/1: claude
         a: retry 1 100
         b/1: codex
         b: after nothing; approve
         c/1: gemini
         c: after nothing",
        "
        begun           => open a; ask b; open c; start a/1 on claude; start c/1 on gemini
        a/1 failed      => a/1/2 in 100 ms
        cancelled: stop => close a cancelled; end c/1: cancelled
        restart         => start c/1 on gemini; end c/1: cancelled
        c/1 cancelled   => close c cancelled; finish cancelled: stop
        restart         =>
        ",
    );
}

#[test]
fn a_pause_of_a_worker_that_is_no_longer_needed_is_not_asked_about_again() {
    check(
        "work/1: claude
         work/2: codex
         work/3: gemini
         work: require any; retry 1 100",
        "
        begun         => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/1 failed => work/1/2 in 100 ms
        work/2 done   => end work/3: not needed
        restart       => start work/3 on gemini; end work/3: not needed
        ",
    );
}

#[test]
fn a_mender_is_asked_about_again() {
    check(
        "work/1: claude",
        "
        begun              => open work; start work/1 on claude
        work/1 done        => gather work
        work conflict a.rs => start work/merge on claude; work/merge has 1800000 ms
        restart            => start work/merge on claude; work/merge has 1800000 ms
        work/merge done    => gather work in round 2
        restart            => gather work in round 2
        ",
    );
}
