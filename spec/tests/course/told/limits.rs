//! How much may live at a time and in all.

use crate::transcript::check;

#[test]
fn no_more_workers_live_at_a_time_than_the_run_allows() {
    check(
        "run: max_parallel 2
         work/1: claude
         work/2: codex
         work/3: gemini",
        "
        begun       => open work; start work/1 on claude; start work/2 on codex
        work/2 done => start work/3 on gemini
        work/1 done =>
        work/3 done => gather work
        ",
    );
}

#[test]
fn no_more_workers_live_at_a_time_than_the_phase_allows_and_other_phases_go_on() {
    check(
        "a/1: claude
         a/2: claude
         a: max_parallel 1
         b/1: codex
         b: after nothing",
        "
        begun    => open a; open b; start a/1 on claude; start b/1 on codex
        b/1 done => gather b
        a/1 done => start a/2 on claude
        ",
    );
}

#[test]
fn free_slots_go_to_workers_in_the_order_of_the_plan() {
    check(
        "run: max_parallel 1
         a/1: claude, gemini
         a/2: claude
         b/1: codex
         b: after nothing",
        "
        begun           => open a; open b; start a/1 on claude
        a/1 unavailable => start a/1/2 on gemini
        a/1 done        => start a/2 on claude
        a/2 done        => gather a; start b/1 on codex
        ",
    );
}

#[test]
fn a_pause_leaves_its_slot_to_others() {
    check(
        "run: max_parallel 1
         work/1: claude
         work/2: codex
         work: retry 1 100",
        "
        begun         => open work; start work/1 on claude
        work/1 failed => work/1/2 in 100 ms; start work/2 on codex
        work/1 rested =>
        work/2 done   => start work/1/2 on claude
        ",
    );
}

#[test]
fn a_bound_of_no_slots_is_one_slot() {
    check(
        "run: max_parallel 0
           work/1: claude
           work/2: codex",
        "begun => open work; start work/1 on claude",
    );
}

#[test]
fn a_run_out_of_agents_stops_launching_and_needs_a_person() {
    check(
        "run: max_total_agents 2
         work/1: claude
         work/2: codex
         work/3: gemini",
        "
        begun       => open work; start work/1 on claude; start work/2 on codex
        work/1 done =>
        work/2 done => hold: phase `work` needs attention: the limit max_total_agents (2) is reached; once resumed it may have as many again
        ",
    );
}

#[test]
fn a_run_out_of_agents_ends_what_lives_where_the_plan_says_stop() {
    check(
        "run: max_total_agents 2; on_breach stop
         work/1: claude, gemini
         other/1: codex
         other: after nothing",
        "
        begun              => open work; open other; start work/1 on claude; start other/1 on codex
        work/1 unavailable => close work failed: the limit max_total_agents (2) is reached
                            ; end other/1: cancelled
        other/1 cancelled  => close other cancelled
                            ; finish failed: phase `work` failed: the limit max_total_agents (2) is reached
        ",
    );
}

#[test]
fn a_phase_may_have_a_limit_of_its_own() {
    check(
        "work/1: claude, gemini
         work: max_total_agents 1",
        "
        begun              => open work; start work/1 on claude
        work/1 unavailable => hold: phase `work` needs attention: the limit max_total_agents (1) is reached; once resumed it may have as many again
        ",
    );
}

#[test]
fn the_last_agent_allowed_is_no_breach() {
    check(
        "run: max_total_agents 2
         work/1: claude
         work/2: codex",
        "
        begun       => open work; start work/1 on claude; start work/2 on codex
        work/1 done =>
        work/2 done => gather work
        work merged => close work done; finish done
        ",
    );
}

#[test]
fn a_run_that_has_cost_what_it_may_starts_nothing_more_and_asks_a_person() {
    check(
        "run: max_cost_usd 3
         a/1: claude
         b/1: claude",
        "
        begun       => open a; start a/1 on claude
        a/1 costs 3 => gather a
        a merged    => close a done; open b
                     ; hold: phase `b` needs attention: the limit max_cost_usd ($3.00) is reached; once resumed it may have as many again
        resumed hold 1: go on => start b/1 on claude
        ",
    );
}

#[test]
fn what_is_set_aside_for_those_who_live_is_not_given_to_others() {
    check(
        "run: max_cost_usd 1; on_breach stop
         a/1: claude
         a/2: claude
         a/3: claude
         a/4: claude
         a/5: claude",
        "
        begun       => open a; start a/1 on claude; start a/2 on claude; start a/3 on claude; start a/4 on claude
        a/1 costs 0 => start a/5 on claude
        ",
    );
}

#[test]
fn a_cost_that_nobody_knows_stops_a_run_that_allows_none() {
    check(
        "run: deny unknown cost; on_breach stop
         a/1: claude
         b/1: claude",
        "
        begun    => open a; start a/1 on claude
        a/1 done => gather a
        a merged => close a done; open b; close b failed: the limit on_unknown_cost (1 of unknown cost) is reached
                  ; finish failed: phase `b` failed: the limit on_unknown_cost (1 of unknown cost) is reached
        ",
    );
}
