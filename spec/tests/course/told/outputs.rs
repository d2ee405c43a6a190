//! Outputs and claims.

use crate::transcript::check;

#[test]
fn an_output_that_is_published_before_the_end_counts() {
    check(
        "triage/1: claude
         fix/1: codex
         fix: condition triage.kind == auth",
        "
        begun                        => open triage; start triage/1 on claude
        triage/1 publishes kind=auth =>
        triage/1 done                => gather triage
        triage merged                => close triage done; open fix; start fix/1 on codex
        ",
    );
}

#[test]
fn a_later_output_of_the_same_worker_takes_the_place_of_the_earlier_one() {
    check(
        "triage/1: claude
         fix/1: codex
         fix: condition triage.kind == auth",
        "
        begun                           => open triage; start triage/1 on claude
        triage/1 publishes kind=ui      =>
        triage/1 publishes kind=billing =>
        triage/1 done with kind=auth    => gather triage
        triage merged                   => close triage done; open fix; start fix/1 on codex
        ",
    );
}

#[test]
fn outputs_are_read_in_the_order_of_the_workers_not_of_their_ends() {
    check(
        "triage/1: claude
         triage/2: gemini
         fix/1: codex
         fix: condition triage.kind == auth",
        "
        begun                        => open triage; start triage/1 on claude; start triage/2 on gemini
        triage/2 done with kind=ui   =>
        triage/1 done with kind=auth => gather triage
        triage merged                => close triage done; open fix; start fix/1 on codex
        ",
    );
}

#[test]
fn an_output_of_a_worker_that_does_not_live_changes_nothing() {
    check(
        "triage/1: claude
         fix/1: codex
         fix: condition triage.kind == auth",
        "
        begun                        => open triage; start triage/1 on claude
        fix/1 publishes kind=auth    =>
        triage/1 done                => gather triage
        triage/1 publishes kind=auth =>
        triage merged                => close triage done; close fix skipped: output never set: triage.kind; finish done
        ",
    );
}

#[test]
fn the_first_who_claims_an_item_has_it() {
    check(
        "work/1: claude
         work/2: codex",
        "
        begun                   => open work; start work/1 on claude; start work/2 on codex
        who holds src/main.rs   => nobody
        work/2 claims src/main.rs =>
        work/1 claims src/main.rs =>
        who holds src/main.rs   => work/2
        work/2 done             =>
        work/2 claims README.md =>
        who holds README.md     => nobody
        ",
    );
}
