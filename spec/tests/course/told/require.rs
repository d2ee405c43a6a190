//! When a phase of several workers is decided.

use crate::transcript::check;

const THREE: &str = "
    work/1: claude
    work/2: codex
    work/3: gemini
";

fn check_three(options: &str, transcript: &str) {
    check(&format!("{THREE}{options}"), transcript);
}

#[test]
fn workers_of_a_phase_start_together_and_all_of_them_must_be_done() {
    check_three(
        "",
        "
        begun       => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/2 done =>
        work/3 done =>
        work/1 done => gather work
        work merged => close work done; finish done
        ",
    );
}

#[test]
fn the_first_failure_ends_the_others_when_all_must_be_done() {
    check_three(
        "",
        "
        begun            => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/1 done      =>
        work/2 failed: x => end work/3: not needed
        work/3 cancelled => close work failed: worker `2`: codex (x)
                          ; finish failed: phase `work` failed: worker `2`: codex (x)
        ",
    );
}

#[test]
fn the_first_who_is_done_is_enough_when_any_will_do() {
    check_three(
        "work: require any",
        "
        begun            => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/2 done      => end work/1: not needed; end work/3: not needed
        work/3 cancelled =>
        work/1 cancelled => gather work
        work merged      => close work done; finish done
        ",
    );
}

#[test]
fn failures_are_borne_as_long_as_enough_others_can_be_done() {
    check_three(
        "work: require 2",
        "
        begun            => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/1 failed    =>
        work/2 done      =>
        work/3 done      => gather work
        work merged      => close work done; finish done
        ",
    );
}

#[test]
fn too_many_failures_end_the_rest_at_once() {
    check_three(
        "work: require 2",
        "
        begun            => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/1 failed: x =>
        work/2 failed    => end work/3: not needed
        work/3 done      => close work failed: worker `1`: claude (x), and 1 more
                          ; finish failed: phase `work` failed: worker `1`: claude (x), and 1 more
        ",
    );
}

#[test]
fn who_is_done_although_it_was_no_longer_needed_counts() {
    check_three(
        "work: require any",
        "
        begun            => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/2 done      => end work/1: not needed; end work/3: not needed
        work/1 done      =>
        work/3 failed    => gather work
        ",
    );
}

#[test]
fn nobody_is_tried_again_who_is_no_longer_needed() {
    check_three(
        "work: require any; retry 5 100",
        "
        begun            => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/1 failed    => work/1/2 in 100 ms
        work/2 done      => end work/3: not needed
        work/1 rested    =>
        work/3 failed    => gather work
        work/1 rested    =>
        ",
    );
}

#[test]
fn more_workers_than_there_are_can_never_be_done() {
    check(
        "work/1: claude
         work: require 2",
        "
        begun => open work; close work failed: 2 workers must be done and there are only 1
               ; finish failed: phase `work` failed: 2 workers must be done and there are only 1
        ",
    );
}

#[test]
fn one_by_one_the_next_starts_when_the_one_before_is_over() {
    check_three(
        "work: one by one",
        "
        begun       => open work; start work/1 on claude
        work/1 done => start work/2 on codex
        work/2 done => start work/3 on gemini
        work/3 done => gather work
        work merged => close work done; finish done
        ",
    );
}

#[test]
fn one_by_one_a_worker_keeps_its_turn_through_failover_and_pauses() {
    check(
        "work/1: claude, gemini
         work/2: codex
         work: one by one; retry 1 100",
        "
        begun              => open work; start work/1 on claude
        work/1 unavailable => start work/1/2 on gemini
        work/1 failed      => work/1/3 in 100 ms
        work/1 rested      => start work/1/3 on gemini
        work/1 done        => start work/2 on codex
        ",
    );
}

#[test]
fn one_by_one_the_rest_never_starts_once_enough_are_done() {
    check_three(
        "work: one by one; require any",
        "
        begun         => open work; start work/1 on claude
        work/1 failed => start work/2 on codex
        work/2 done   => gather work
        work merged   => close work done; finish done
        ",
    );
}

#[test]
fn one_by_one_the_rest_never_starts_after_a_failure_that_stops_the_phase() {
    check_three(
        "work: one by one",
        "
        begun            => open work; start work/1 on claude
        work/1 failed: x => close work failed: worker `1`: claude (x)
                          ; finish failed: phase `work` failed: worker `1`: claude (x)
        ",
    );
}

#[test]
fn others_finish_their_work_when_the_run_goes_on_after_a_failure_and_what_is_done_is_merged() {
    check_three(
        "work: on_failure continue; one by one
         sum/1: claude",
        "
        begun            => open work; start work/1 on claude
        work/1 failed: x => start work/2 on codex
        work/2 done      => start work/3 on gemini
        work/3 done      => gather work
        work merged      => close work failed: worker `1`: claude (x); open sum; start sum/1 on claude
        sum/1 done       => gather sum
        sum merged       => close sum done; finish done
        ",
    );
}

#[test]
fn nothing_is_gathered_where_nobody_was_done() {
    check(
        "work/1: claude
         work: on_failure continue
         sum/1: claude",
        "
        begun            => open work; start work/1 on claude
        work/1 failed: x => close work failed: worker `1`: claude (x); open sum; start sum/1 on claude
        ",
    );
}

#[test]
fn a_worker_that_needs_a_person_does_not_matter_where_others_suffice() {
    check_three(
        "work: require any",
        "
        begun         => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/1 asks   =>
        work/2 failed =>
        work/3 done   => gather work
        work merged   => close work done; finish done
        ",
    );
}

#[test]
fn a_phase_waits_for_a_person_when_only_that_can_save_it() {
    check_three(
        "work: require any",
        "
        begun          => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/1 asks: y =>
        work/2 failed  =>
        work/3 failed  => hold: phase `work` needs attention: worker `1`: claude (y)
        ",
    );
}

#[test]
fn the_others_end_by_themselves_when_one_needs_a_person() {
    check_three(
        "",
        "
        begun          => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/1 asks: y =>
        work/2 done    =>
        work/3 done    => hold: phase `work` needs attention: worker `1`: claude (y)
        ",
    );
}

#[test]
fn a_failure_outweighs_a_worker_that_needs_a_person() {
    check_three(
        "",
        "
        begun            => open work; start work/1 on claude; start work/2 on codex; start work/3 on gemini
        work/1 asks: y   =>
        work/2 failed: x => end work/3: not needed
        work/3 cancelled => close work failed: worker `2`: codex (x)
                          ; finish failed: phase `work` failed: worker `2`: codex (x)
        ",
    );
}
