//! The order of phases, conditions and approval.

use crate::transcript::check;

const ONE_AFTER_THE_OTHER: &str = "
    triage/1: claude
    fix/1: codex
";

const FORK: &str = "
    triage/1: claude
    left/1: claude
    right/1: codex
    right: after triage
    join/1: gemini
    join: after left right
";

fn check_two(options: &str, transcript: &str) {
    check(&format!("{ONE_AFTER_THE_OTHER}{options}"), transcript);
}

#[test]
fn a_phase_begins_when_the_one_before_it_is_over() {
    check_two(
        "",
        "
        begun         => open triage; start triage/1 on claude
        triage/1 done => gather triage
        triage merged => close triage done; open fix; start fix/1 on codex
        fix/1 done    => gather fix
        fix merged    => close fix done; finish done
        ",
    );
}

#[test]
fn a_run_without_phases_is_done() {
    check("", "begun => finish done");
}

#[test]
fn a_session_is_a_phase_of_one_worker() {
    check(
        "talk/1: claude
         talk: session",
        "
        begun       => open talk; start talk/1 on claude
        talk/1 done => gather talk
        talk merged => close talk done; finish done
        ",
    );
}

#[test]
fn phases_that_wait_for_nothing_begin_together() {
    check_two(
        "fix: after nothing",
        "
        begun         => open triage; open fix; start triage/1 on claude; start fix/1 on codex
        fix/1 done    => gather fix
        fix merged    => close fix done
        triage/1 done => gather triage
        triage merged => close triage done; finish done
        ",
    );
}

#[test]
fn a_phase_waits_for_all_it_comes_after() {
    check(
        FORK,
        "
        begun         => open triage; start triage/1 on claude
        triage/1 done => gather triage
        triage merged => close triage done; open left; open right; start left/1 on claude; start right/1 on codex
        right/1 done  => gather right
        right merged  => close right done
        left/1 done   => gather left
        left merged   => close left done; open join; start join/1 on gemini
        join/1 done   => gather join
        join merged   => close join done; finish done
        ",
    );
}

#[test]
fn a_failed_phase_stops_the_whole_run_and_ends_what_lives_elsewhere() {
    check(
        "a/1: claude
         b/1: codex
         b: after nothing
         c/1: gemini
         c: after nothing
         d/1: claude",
        "
        begun         => open a; open b; open c; start a/1 on claude; start b/1 on codex; start c/1 on gemini
        c/1 done      => gather c
        a/1 failed: x => close a failed: worker `1`: claude (x); end b/1: cancelled
        c merged      => close c done
        b/1 cancelled => close b cancelled; finish failed: phase `a` failed: worker `1`: claude (x)
        ",
    );
}

#[test]
fn a_run_goes_on_after_a_failure_where_the_plan_says_so() {
    check_two(
        "triage: on_failure continue",
        "
        begun              => open triage; start triage/1 on claude
        triage/1 failed: x => close triage failed: worker `1`: claude (x); open fix; start fix/1 on codex
        fix/1 done         => gather fix
        fix merged         => close fix done; finish done
        ",
    );
}

#[test]
fn a_run_whose_last_phase_failed_has_failed_even_where_the_plan_says_continue() {
    check_two(
        "fix: on_failure continue",
        "
        begun           => open triage; start triage/1 on claude
        triage/1 done   => gather triage
        triage merged   => close triage done; open fix; start fix/1 on codex
        fix/1 failed: x => close fix failed: worker `1`: codex (x)
                         ; finish failed: phase `fix` failed: worker `1`: codex (x)
        ",
    );
}

#[test]
fn a_failure_that_only_skipped_phases_follow_is_the_failure_of_the_run() {
    check_two(
        "triage: on_failure continue
         fix: condition triage.kind == auth",
        "
        begun              => open triage; start triage/1 on claude
        triage/1 failed: x => close triage failed: worker `1`: claude (x)
                            ; close fix skipped: output never set: triage.kind
                            ; finish failed: phase `triage` failed: worker `1`: claude (x)
        ",
    );
}

#[test]
fn a_failure_is_made_good_by_a_phase_behind_a_skipped_one() {
    check_two(
        "triage: on_failure continue
         fix: condition triage.kind == auth
         sum/1: gemini",
        "
        begun              => open triage; start triage/1 on claude
        triage/1 failed: x => close triage failed: worker `1`: claude (x)
                            ; close fix skipped: output never set: triage.kind; open sum; start sum/1 on gemini
        sum/1 done         => gather sum
        sum merged         => close sum done; finish done
        ",
    );
}

#[test]
fn a_condition_that_holds_opens_its_phase() {
    check_two(
        "fix: condition triage.kind == auth",
        "
        begun                        => open triage; start triage/1 on claude
        triage/1 done with kind=auth => gather triage
        triage merged                => close triage done; open fix; start fix/1 on codex
        ",
    );
}

#[test]
fn a_condition_that_does_not_hold_skips_its_phase() {
    check_two(
        "fix: condition triage.kind == auth",
        "
        begun                           => open triage; start triage/1 on claude
        triage/1 done with kind=billing => gather triage
        triage merged                   => close triage done
            ; close fix skipped: condition is false: triage.kind == auth; finish done
        ",
    );
}

#[test]
fn a_condition_over_an_output_that_nobody_set_skips_its_phase_and_says_so() {
    check_two(
        "fix: condition triage.kind == auth",
        "
        begun         => open triage; start triage/1 on claude
        triage/1 done => gather triage
        triage merged => close triage done; close fix skipped: output never set: triage.kind; finish done
        ",
    );
}

#[test]
fn of_two_ways_the_one_whose_condition_holds_is_taken() {
    check(
        "triage/1: claude
         auth/1: codex
         auth: condition triage.kind == auth
         billing/1: gemini
         billing: after triage; condition triage.kind == billing
         sum/1: claude
         sum: after auth billing",
        "
        begun                           => open triage; start triage/1 on claude
        triage/1 done with kind=billing => gather triage
        triage merged                   => close triage done
            ; close auth skipped: condition is false: triage.kind == auth; open billing; start billing/1 on gemini
        billing/1 done                  => gather billing
        billing merged                  => close billing done; open sum; start sum/1 on claude
        ",
    );
}

#[test]
fn a_condition_that_cannot_be_judged_fails_its_phase() {
    check_two(
        "fix: condition broken",
        "
        begun         => open triage; start triage/1 on claude
        triage/1 done => gather triage
        triage merged => close triage done
            ; close fix failed: condition cannot be judged: broken: `broken` compares nothing
            ; finish failed: phase `fix` failed: condition cannot be judged: broken: `broken` compares nothing
        ",
    );
}

#[test]
fn a_person_is_asked_before_a_phase_that_needs_approval() {
    check_two(
        "fix: approve",
        "
        begun         => open triage; start triage/1 on claude
        fix approved  =>
        triage/1 done => gather triage
        triage merged => close triage done; ask fix
        fix approved  => open fix; start fix/1 on codex
        fix approved  =>
        fix denied    =>
        ",
    );
}

#[test]
fn nobody_is_asked_about_a_phase_that_is_skipped() {
    check_two(
        "fix: approve; condition triage.kind == auth",
        "
        begun         => open triage; start triage/1 on claude
        triage/1 done => gather triage
        triage merged => close triage done; close fix skipped: output never set: triage.kind; finish done
        ",
    );
}

#[test]
fn a_phase_that_is_denied_stops_the_run_whatever_the_plan_says_of_failures() {
    check(
        "fix/1: codex
         fix: approve; on_failure continue
         sum/1: claude",
        "
        begun           => ask fix
        fix denied: no  => close fix failed: denied: no; finish failed: phase `fix` failed: denied: no
        ",
    );
}

#[test]
fn a_question_does_not_keep_others_from_working() {
    check_two(
        "triage: approve
         fix: after nothing",
        "
        begun           => ask triage; open fix; start fix/1 on codex
        fix/1 done      => gather fix
        fix merged      => close fix done
        triage approved => open triage; start triage/1 on claude
        ",
    );
}
