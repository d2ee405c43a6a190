//! What differs between two runs of one test, replaced by what it is.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// Pattern and replacement, in this order.
static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)", ""),
        (r"\r\n", "\n"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?", "<when>"),
        (r"\b\d\d:\d\d:\d\d\b", "<when>"),
        (r"\b\d+(\.\d+)? ?(ns|µs|ms|s|min|h)\b", "<time>"),
        (r"\bpid \d+", "pid <id>"),
        (r"\b[0-9a-f]{40}\b|\b[0-9a-f]{64}\b", "<hash>"),
        (r"(?m)[ \t]+$", ""),
    ];
    rules.into_iter().filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with))).collect()
});

pub(super) fn clean(text: &str, house: &Path, runs: &[String]) -> String {
    let mut text = text.replace(&*house.to_string_lossy(), "<house>");
    for run in runs {
        let name = run.rsplit_once('-').map_or("run", |(name, _)| name);
        text = text.replace(run, &format!("{name}-<id>"));
    }
    for (rule, with) in RULES.iter() {
        text = rule.replace_all(&text, *with).into_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_two_runs_is_replaced_and_the_rest_stays() {
        let text = "run review-4k2m7\r\n\x1b[1mlint\x1b[0m done in 1.2 s, pid 77   \n/tmp/h/state/review-4k2m7/report.md";
        let cleaned = clean(text, Path::new("/tmp/h"), &["review-4k2m7".to_owned()]);
        assert_eq!(
            cleaned,
            "run review-<id>\nlint done in <time>, pid <id>\n<house>/state/review-<id>/report.md"
        );
        assert_eq!(RULES.len(), 8, "every pattern is one");
    }
}
