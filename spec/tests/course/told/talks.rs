//! Dialogues, meetings and meshes: who speaks when, who is missed, and how a talk ends.

use crate::transcript::check;

#[test]
fn two_speak_in_turns_until_their_rounds_are_over() {
    check(
        "talk/ann: claude
         talk/bob: codex
         talk: dialogue 2",
        "
        begun          => open talk; start talk/ann on claude
        talk/ann done  => start talk/bob on codex
        talk/bob done  => start talk/ann/2 on claude
        talk/ann/1 done =>
        talk/ann done  => start talk/bob/2 on codex
        talk/bob done  => dismiss talk
        talk dismissed => gather talk
        talk merged    => close talk done; finish done
        ",
    );
}

#[test]
fn a_dialogue_ends_as_soon_as_its_until_holds() {
    check(
        "talk/ann: claude
         talk/bob: codex
         talk: dialogue 9 last.text.contains('agreed') && last.from == 'bob'",
        "
        begun                => open talk; start talk/ann on claude
        talk/ann says agreed => start talk/bob on codex
        talk/bob says no     => start talk/ann/2 on claude
        talk/ann says well   => start talk/bob/2 on codex
        talk/bob says agreed => dismiss talk
        ",
    );
}

#[test]
fn what_a_dialogue_published_ends_it_too_and_what_was_never_set_does_not() {
    check(
        "talk/ann: claude
         talk/bob: codex
         talk: dialogue 9 outputs.verdict == 'ship'",
        "
        begun                           => open talk; start talk/ann on claude
        talk/ann done                   => start talk/bob on codex
        talk/bob done with verdict=fix  => start talk/ann/2 on claude
        talk/ann done with verdict=ship => dismiss talk
        ",
    );
}

#[test]
fn a_turn_falls_over_to_the_next_model_and_stays_with_it() {
    check(
        "talk/ann: claude, gemini
         talk/bob: codex
         talk: dialogue 2",
        "
        begun                => open talk; start talk/ann on claude
        talk/ann unavailable => start talk/ann/2 on gemini
        talk/ann done        => start talk/bob on codex
        talk/bob done        => start talk/ann/3 on gemini
        ",
    );
}

#[test]
fn a_turn_that_failed_is_tried_again_and_each_turn_has_all_its_tries() {
    check(
        "talk/ann: claude
         talk/bob: codex
         talk: dialogue 2; retry 1 100",
        "
        begun           => open talk; start talk/ann on claude
        talk/ann failed => talk/ann/2 in 100 ms
        talk/ann rested => start talk/ann/2 on claude
        talk/ann done   => start talk/bob on codex
        talk/bob done   => start talk/ann/3 on claude
        talk/ann failed => talk/ann/4 in 100 ms
        ",
    );
}

#[test]
fn a_dialogue_without_one_of_its_two_fails_and_says_who_is_missing() {
    check(
        "talk/ann: claude
         talk/bob: codex
         talk: dialogue 2",
        "
        begun                  => open talk; start talk/ann on claude
        talk/ann done          => start talk/bob on codex
        talk/bob failed: exit 1 => dismiss talk
        talk dismissed         => close talk failed: `bob` is not there: codex (exit 1)
                                ; finish failed: phase `talk` failed: `bob` is not there: codex (exit 1)
        ",
    );
}

#[test]
fn a_turn_past_its_time_is_ended_and_its_late_answer_changes_nothing() {
    check(
        "talk/ann: claude
         talk/bob: codex
         talk/cyd: gemini
         talk: meeting 1; timeout 500",
        "
        begun             => open talk; start talk/ann on claude; talk/ann has 500 ms
        talk/ann expired  => end talk/ann: timed out
        talk/ann timed    => start talk/bob on codex; talk/bob has 500 ms
        talk/ann done     =>
        talk/bob done     => start talk/cyd on gemini; talk/cyd has 500 ms
        talk/cyd done     => start talk/cyd/2 on gemini; talk/cyd/2 has 500 ms
        talk/cyd done     => dismiss talk
        ",
    );
}

#[test]
fn a_meeting_goes_topic_by_round_by_participant_and_its_moderator_decides() {
    check(
        "m/a: claude
         m/b: codex
         m: meeting 2 1; moderator a",
        "
        begun    => open m; start m/a on claude
        m/a done => start m/b on codex
        m/b done => start m/a/2 on claude
        m/a done => start m/b/2 on codex
        m/b done => start m/a/3 on claude
        m/a done => start m/a/4 on claude
        m/a done => start m/b/3 on codex
        m/b done => start m/a/5 on claude
        m/a done => dismiss m
        ",
    );
}

#[test]
fn a_meeting_goes_on_with_two_and_ends_with_one() {
    check(
        "m/a: claude
         m/b: codex
         m/c: gemini
         m: meeting 3; moderator a",
        "
        begun             => open m; start m/a on claude
        m/a failed: gone  => start m/b on codex
        m/b done          => start m/c on gemini
        m/c done          => start m/b/2 on codex
        m/b failed: gone  => dismiss m
        m dismissed       => close m failed: `a` is not there: claude (gone); `b` is not there: codex (gone)
                           ; finish failed: phase `m` failed: `a` is not there: claude (gone); `b` is not there: codex (gone)
        ",
    );
}

#[test]
fn agents_of_a_mesh_begin_at_once_and_a_letter_wakes_who_is_idle() {
    check(
        "net/a: claude
         net/b: codex
         net: mesh 500",
        "
        begun              => open net; start net/a on claude; start net/b on codex
        letter 1 to net/b  =>
        net/a done         =>
        net/b done         => start net/b/2 on codex
        letter 1 to net/b  =>
        net/b done         => quiet 7 of net for 500 ms
        letter 2 to net/a  => start net/a/2 on claude
        net quiet 7        =>
        net/a done         => quiet 10 of net for 500 ms
        restart            => quiet 10 of net for 500 ms
        net quiet 10        => dismiss net
        letter 3 to net/a  =>
        net dismissed      => gather net
        net merged         => close net done; finish done
        ",
    );
}

#[test]
fn an_agent_that_comes_after_others_begins_when_they_have_had_their_first_turn() {
    check(
        "net/a: claude
         net/b: codex
         net/c: gemini
         net: mesh persistent; agent c after a b",
        "
        begun             => open net; start net/a on claude; start net/b on codex
        letter 1 to net/c =>
        net/a done        =>
        net/b failed      => start net/c on gemini
        net/c done        =>
        ",
    );
}

#[test]
fn a_persistent_mesh_is_never_over_by_itself_and_ends_when_somebody_says_so() {
    check(
        "net/a: claude
         net: mesh persistent",
        "
        begun                     => open net; start net/a on claude
        net/a done                =>
        letter 1 to person        =>
        letter 2 to net/a         => start net/a/2 on claude
        net concluded by somebody => end net/a/2: not needed
        net concluded by another  =>
        net/a cancelled           => dismiss net
        net dismissed             => gather net
        net merged                => close net done; finish done
        ",
    );
}

#[test]
fn what_was_done_in_a_mesh_is_taken_along_though_its_end_comes_in_the_middle_of_a_turn() {
    check(
        "net/a: claude
         net/b: codex
         net/c: gemini
         net/d: claude
         net: mesh persistent",
        "
        begun                => open net; start net/a on claude; start net/b on codex; start net/c on gemini
                                ; start net/d on claude
        net/a done           =>
        net/b done           =>
        net/d failed: exit 1 =>
        letter 1 to net/a    => start net/a/2 on claude
        letter 2 to net/b    => start net/b/2 on codex
        net/b failed: exit 1 =>
        net concluded by me  => end net/a/2: not needed; end net/c: not needed
        net/a cancelled      =>
        net/c cancelled      => dismiss net
        net dismissed        => gather net
        who is merged in net => a, b, c
        ",
    );
}

#[test]
fn a_mesh_of_which_nobody_is_left_fails() {
    check(
        "net/a: claude
         net/b: codex
         net: mesh 100; on_failure continue",
        "
        begun             => open net; start net/a on claude; start net/b on codex
        net/a failed: x   =>
        letter 1 to net/a =>
        net/b failed: y   => dismiss net
        net dismissed     => close net failed: `a` is not there: claude (x); `b` is not there: codex (y)
                           ; finish failed: phase `net` failed: `a` is not there: claude (x); `b` is not there: codex (y)
        ",
    );
}

#[test]
fn turns_are_bounded_and_a_person_may_grant_as_many_again() {
    check(
        "run: max_turns 2
         talk/ann: claude
         talk/bob: codex
         talk: dialogue 9",
        "
        begun         => open talk; start talk/ann on claude
        talk/ann done => start talk/bob on codex
        talk/bob done => hold: phase `talk` needs attention: the limit max_turns (2) is reached; once resumed it may have as many again
        resumed       => start talk/ann/2 on claude
        talk/ann done => start talk/bob/2 on codex
        ",
    );
}

#[test]
fn letters_are_bounded_and_the_limit_is_named_at_the_letter_that_reaches_it() {
    check(
        "run: max_messages 3; on_breach stop
         net/a: claude
         net/b: codex
         net: mesh persistent",
        "
        begun             => open net; start net/a on claude; start net/b on codex
        letter 1 to net/b =>
        letter 2 to net/a =>
        net/a done        => start net/a/2 on claude
        letter 3 to net/b => end net/a/2: not needed; end net/b: not needed
        net/a cancelled   =>
        net/b cancelled   => dismiss net
        net dismissed     => close net failed: the limit max_messages (3) is reached
                           ; finish failed: phase `net` failed: the limit max_messages (3) is reached
        ",
    );
}

#[test]
fn further_turns_are_no_further_agents() {
    check(
        "run: max_total_agents 2
         talk/ann: claude
         talk/bob: codex
         talk: dialogue 2",
        "
        begun         => open talk; start talk/ann on claude
        talk/ann done => start talk/bob on codex
        talk/bob done => start talk/ann/2 on claude
        talk/ann done => start talk/bob/2 on codex
        talk/bob done => dismiss talk
        ",
    );
}

#[test]
fn a_cancelled_talk_is_dismissed_before_it_closes_and_is_not_gathered() {
    check(
        "talk/ann: claude
         talk/bob: codex
         talk: dialogue 2",
        "
        begun              => open talk; start talk/ann on claude
        talk/ann done      => start talk/bob on codex
        cancelled: enough  => end talk/bob: cancelled
        talk/bob cancelled => dismiss talk
        restart            => dismiss talk
        talk dismissed     => close talk cancelled; finish cancelled: enough
        talk dismissed     =>
        ",
    );
}

#[test]
fn a_speaker_that_needs_a_person_holds_the_talk_and_takes_the_same_turn_again() {
    check(
        "talk/ann: claude
         talk/bob: codex
         talk: dialogue 1",
        "
        begun              => open talk; start talk/ann on claude
        talk/ann asks: why => hold: phase `talk` needs attention: worker `ann`: claude (why)
        resumed            => start talk/ann/2 on claude
        talk/ann done      => start talk/bob on codex
        talk/bob stuck: no room => hold: phase `talk` needs attention: worker `bob`: codex (no room)
        resumed            => settle talk/bob
        talk/bob done      => dismiss talk
        ",
    );
}

#[test]
fn one_speaks_after_the_other_where_there_is_one_place() {
    check(
        "run: max_parallel 1
         net/a: claude
         net/b: codex
         net: mesh 100",
        "
        begun      => open net; start net/a on claude
        net/a done => start net/b on codex
        net/b done => quiet 4 of net for 100 ms
        ",
    );
}
