//! A run that needed a person goes on.

use crate::transcript::check;

#[test]
fn a_worker_that_asked_a_person_makes_a_new_attempt_on_its_first_model() {
    check(
        "work/1: claude, gemini
         work: retry 1 0
         next/1: codex",
        "
        begun               => open work; start work/1 on claude
        work/1 unavailable  => start work/1/2 on gemini
        work/1 asks: may I? => hold: phase `work` needs attention: worker `1`: claude (it failed), then gemini (may I?)
        resumed             => start work/1/3 on claude
        work/1 failed       => start work/1/4 on claude
        work/1 done         => gather work
        work merged         => close work done; open next; start next/1 on codex
        ",
    );
}

#[test]
fn what_an_answered_attempt_left_is_taken_once_more_and_has_no_new_number() {
    check(
        "run: max_total_agents 1
         work/1: claude",
        "
        begun               => open work; start work/1 on claude
        work/1 stuck: a key => hold: phase `work` needs attention: worker `1`: claude (a key)
        resumed             => settle work/1
        restart             => settle work/1
        work/1 stuck: a key => hold: phase `work` needs attention: worker `1`: claude (a key)
        resumed             => settle work/1
        work/1 done         => gather work
        work merged         => close work done; finish done
        ",
    );
}

#[test]
fn what_is_taken_once_more_is_ended_with_the_run() {
    check(
        "work/1: claude",
        "
        begun               => open work; start work/1 on claude
        work/1 stuck: a key => hold: phase `work` needs attention: worker `1`: claude (a key)
        resumed             => settle work/1
        work/1 expired      =>
        cancelled: enough   => end work/1: cancelled
        restart             => settle work/1; end work/1: cancelled
        work/1 done         => close work cancelled; finish cancelled: enough
        ",
    );
}

#[test]
fn what_could_not_be_gathered_is_gathered_in_the_next_round() {
    check(
        "work/1: claude
         work: merge stop
         next/1: codex",
        "
        begun                     => open work; start work/1 on claude
        work/1 done               => gather work
        work conflict a.rs: x     => hold: phase `work` needs attention: merge conflict in a.rs: x
        restart                   =>
        resumed                   => gather work in round 2
        restart                   => gather work in round 2
        work refused again: a key => hold: phase `work` needs attention: a key
        resumed                   => gather work in round 3
        work in round 3 merged    => close work done; open next; start next/1 on codex
        ",
    );
}

#[test]
fn each_branch_that_conflicts_may_be_mended_once_and_once_more_when_the_run_is_resumed() {
    check(
        "work/1: claude
         work/2: claude
         work/3: claude",
        "
        begun                               => open work; start work/1 on claude; start work/2 on claude; start work/3 on claude
        work/1 done                         =>
        work/2 done                         =>
        work/3 done                         => gather work
        work conflict of 2 a.rs: x          => start work/merge on claude; work/merge has 1800000 ms
        work/merge done                     => gather work in round 2
        work in round 2 conflict of 3 a: x  => start work/merge/2 on claude; work/merge/2 has 1800000 ms
        work/merge done                     => gather work in round 3
        work in round 3 conflict of 3 a: x  => hold: phase `work` needs attention: merge conflict in a: x
        resumed                             => gather work in round 4
        work in round 4 conflict of 3 a: x  => start work/merge/3 on claude; work/merge/3 has 1800000 ms
        work/merge failed                   => hold: phase `work` needs attention: merge conflict in a: x; not mended in 1 attempts
        resumed                             => gather work in round 5
        work in round 5 merged              => close work done; finish done
        ",
    );
}

#[test]
fn there_are_no_more_turns_of_the_mender_than_workers() {
    check(
        "work/1: claude",
        "
        begun                              => open work; start work/1 on claude
        work/1 done                        => gather work
        work conflict of a f: x            => start work/merge on claude; work/merge has 1800000 ms
        work/merge done                    => gather work in round 2
        work in round 2 conflict of b f: x => hold: phase `work` needs attention: merge conflict in f: x
        ",
    );
}

#[test]
fn a_run_that_has_had_all_its_agents_may_have_as_many_again() {
    check(
        "run: max_total_agents 1
         work/1: claude
         work/2: codex
         work/3: gemini",
        "
        begun       => open work; start work/1 on claude
        work/1 done => hold: phase `work` needs attention: the limit max_total_agents (1) is reached; once resumed it may have as many again
        resumed     => start work/2 on codex
        work/2 done => hold: phase `work` needs attention: the limit max_total_agents (2) is reached; once resumed it may have as many again
        resumed     => start work/3 on gemini
        ",
    );
}

#[test]
fn pauses_begin_anew_and_phases_not_yet_begun_go_on_afterwards() {
    check(
        "a/1: claude
         a: retry 1 100
         b/1: codex
         b: after nothing
         c/1: gemini
         c: after b",
        "
        begun      => open a; open b; start a/1 on claude; start b/1 on codex
        a/1 failed => a/1/2 in 100 ms
        b/1 asks: y => hold: phase `b` needs attention: worker `1`: codex (y)
        restart    =>
        resumed    => a/1/2 in 100 ms; start b/1/2 on codex
        a/1 rested => start a/1/2 on claude
        b/1 done   => gather b
        b merged   => close b done; open c; start c/1 on gemini
        ",
    );
}

#[test]
fn one_by_one_the_worker_that_was_helped_comes_before_those_after_it() {
    check(
        "work/1: claude
         work/2: codex
         work: one by one",
        "
        begun       => open work; start work/1 on claude
        work/1 asks: y => hold: phase `work` needs attention: worker `1`: claude (y)
        resumed     => start work/1/2 on claude
        work/1 done => start work/2 on codex
        work/2 done => gather work
        ",
    );
}

#[test]
fn a_run_that_waits_is_resumed_once_and_only_for_the_hold_that_was_meant() {
    check(
        "work/1: claude
         sum/1: codex",
        "
        resumed         =>
        begun           => open work; start work/1 on claude
        resumed hold 1  =>
        work/1 asks: y  => hold: phase `work` needs attention: worker `1`: claude (y)
        resumed hold 2  =>
        resumed hold 1  => start work/1/2 on claude
        work/1 asks: z  => hold: phase `work` needs attention: worker `1`: claude (z)
        resumed hold 1  =>
        cancelled: stop => close work cancelled; finish cancelled: stop
        resumed         =>
        ",
    );
}

#[test]
fn a_hold_whose_cause_is_gone_before_it_is_told_holds_nobody() {
    check(
        "run: max_total_agents 2
         work/1: claude
         work/2: codex
         work/3: gemini
         work: require any",
        "
        begun       => open work; start work/1 on claude; start work/2 on codex
        work/1 done => end work/2: not needed
        work/2 done => gather work
        work merged => close work done; finish done
        ",
    );
}
