//! What a run does, told as transcripts.

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
