//! Bringing a phase's work together.

use crate::transcript::check;

const TWO: &str = "
    work/1: claude, gemini
    work/2: codex
";

fn check_conflict(options: &str, transcript: &str) {
    let head = "
        begun                           => open work; start work/1 on claude; start work/2 on codex
        work/1 done                     =>
        work/2 done                     => gather work
    ";
    check(&format!("{TWO}{options}"), &format!("{head}{transcript}"));
}

#[test]
fn a_conflict_goes_to_the_model_of_the_phase_once() {
    check_conflict(
        "",
        "
        work conflict a.rs b.rs => start work/merge on claude; work/merge has 1800000 ms
        work/merge started      =>
        work/merge done         => gather work in round 2
        work merged again       => close work done; finish done
        ",
    );
}

#[test]
fn a_mender_that_cannot_be_had_gives_way_to_the_next_model() {
    check_conflict(
        "",
        "
        work conflict a.rs     => start work/merge on claude; work/merge has 1800000 ms
        work/merge unavailable => start work/merge/2 on gemini; work/merge/2 has 1800000 ms
        work/merge done        => gather work in round 2
        ",
    );
}

#[test]
fn a_conflict_that_outlives_the_mender_needs_a_person() {
    check_conflict(
        "",
        "
        work conflict a.rs           => start work/merge on claude; work/merge has 1800000 ms
        work/merge done              => gather work in round 2
        work conflict again a.rs: no => hold: phase `work` needs attention: merge conflict in a.rs: no
        ",
    );
}

#[test]
fn a_mender_that_fails_is_not_tried_again() {
    check_conflict(
        "work: retry 5 0; on_lost restart",
        "
        work conflict a.rs: no => start work/merge on claude; work/merge has 1800000 ms
        work/merge failed      => hold: phase `work` needs attention: merge conflict in a.rs: no; not mended in 1 attempts
        ",
    );
}

#[test]
fn a_mender_has_no_more_time_than_a_worker() {
    check(
        "work/1: claude
         work: timeout 1000",
        "
        begun                 => open work; start work/1 on claude; work/1 has 1000 ms
        work/1 done           => gather work
        work conflict a.rs: x => start work/merge on claude; work/merge has 1000 ms
        work/merge expired    => end work/merge: timed out
        work/merge timed out  => hold: phase `work` needs attention: merge conflict in a.rs: x; not mended in 1 attempts
        ",
    );
}

#[test]
fn a_conflict_stops_at_a_person_where_the_plan_says_so() {
    check_conflict(
        "work: merge stop",
        "
        work conflict a.rs b.rs: no => hold: phase `work` needs attention: merge conflict in a.rs, b.rs: no
        ",
    );
}

#[test]
fn a_conflict_leaves_the_branches_where_the_plan_says_so() {
    check_conflict("work: merge keep", "work conflict a.rs => close work done; finish done");
}

#[test]
fn a_long_list_of_files_is_cut_in_the_message() {
    check_conflict(
        "work: merge stop",
        "
        work conflict 1 2 3 4 5 6 7 8 9 10 11 12: no => hold: phase `work` needs attention: merge conflict in 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more: no
        ",
    );
}

#[test]
fn what_may_not_be_committed_needs_a_person() {
    check_conflict(
        "sum/1: claude",
        "
        work refused: a key in `.env` => hold: phase `work` needs attention: a key in `.env`
        ",
    );
}

#[test]
fn news_of_another_gathering_changes_nothing() {
    check_conflict(
        "",
        "
        work merged again  =>
        other merged       =>
        work conflict a.rs => start work/merge on claude; work/merge has 1800000 ms
        work merged        =>
        work/1 done        =>
        work/merge done    => gather work in round 2
        work merged        =>
        work/merge done    =>
        ",
    );
}

#[test]
fn nobody_mends_in_a_run_that_needs_a_person_elsewhere() {
    check(
        "a/1: claude
         b/1: codex
         b: after nothing",
        "
        begun              => open a; open b; start a/1 on claude; start b/1 on codex
        b/1 done           => gather b
        a/1 asks: y        =>
        b conflict f.rs: x => hold: phase `a` needs attention: worker `1`: claude (y)
        ",
    );
}

#[test]
fn a_mender_is_ended_when_the_run_is_cancelled() {
    check_conflict(
        "",
        "
        work conflict a.rs   => start work/merge on claude; work/merge has 1800000 ms
        cancelled: enough    => end work/merge: cancelled
        work/merge cancelled => close work cancelled; finish cancelled: enough
        ",
    );
}

#[test]
fn a_mender_waits_for_a_free_slot_like_everybody() {
    check(
        "run: max_parallel 1
         a/1: claude
         b/1: codex
         b: after nothing",
        "
        begun           => open a; open b; start a/1 on claude
        a/1 done        => gather a; start b/1 on codex
        a conflict f.rs =>
        b/1 done        => gather b; start a/merge on claude; a/merge has 1800000 ms
        ",
    );
}
