//! Signatures: whether a body comes from somebody who knows the secret.
//!
//! Two ways of signing are known. GitHub's: `X-Hub-Signature-256: sha256=HEX` over the body. That of the Standard Webhooks:
//! `webhook-signature: v1,BASE64` over `ID.TIMESTAMP.BODY`, with `webhook-id` and `webhook-timestamp`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use ring::hmac;

/// How far a sender's clock may be from this one, and how long a stolen request is of use to anybody.
pub(super) const TIMESTAMP_WITHIN_S: i64 = 300;
/// Signatures in one header: a sender that changes its secret signs with both.
const SIGNATURES_MAX: usize = 8;

/// What proves a request, and by what it is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// The signature itself: the same body again is the same request, whatever its other headers say.
    pub mark: String,
    /// Whether it is of no use any more after a while.
    pub passes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    Unsigned,
    Wrong,
    /// Its time is too far from now.
    Stale,
    Malformed,
}

impl Doubt {
    pub fn words(self) -> &'static str {
        match self {
            Doubt::Unsigned => "it is not signed",
            Doubt::Wrong => "its signature is wrong",
            Doubt::Stale => "it was signed too long ago, or by a clock that is ahead",
            Doubt::Malformed => "its signature cannot be read",
        }
    }
}

/// Checks whichever signature there is; the newer way counts where both are there.
pub(super) fn check(
    keys: &[hmac::Key],
    headers: &HeaderMap,
    body: &[u8],
    now_s: i64,
) -> Result<Proof, Doubt> {
    if headers.contains_key("webhook-signature") {
        return check_standard(keys, headers, body, now_s);
    }
    let signature = header(headers, "x-hub-signature-256")?.ok_or(Doubt::Unsigned)?;
    let hex = signature.strip_prefix("sha256=").ok_or(Doubt::Malformed)?;
    let tag = from_hex(hex).ok_or(Doubt::Malformed)?;
    if keys.iter().any(|key| hmac::verify(key, body, &tag).is_ok()) {
        Ok(Proof { mark: hex.to_ascii_lowercase(), passes: false })
    } else {
        Err(Doubt::Wrong)
    }
}

fn check_standard(keys: &[hmac::Key], headers: &HeaderMap, body: &[u8], now_s: i64) -> Result<Proof, Doubt> {
    let id = header(headers, "webhook-id")?.ok_or(Doubt::Malformed)?;
    let timestamp = header(headers, "webhook-timestamp")?.ok_or(Doubt::Malformed)?;
    let signatures = header(headers, "webhook-signature")?.ok_or(Doubt::Unsigned)?;
    let signed_s: i64 = timestamp.parse().map_err(|_| Doubt::Malformed)?;
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let mut known = false;
    for signature in signatures.split(' ').take(SIGNATURES_MAX) {
        let Some(text) = signature.strip_prefix("v1,") else { continue };
        known = true;
        let tag = STANDARD.decode(text).map_err(|_| Doubt::Malformed)?;
        if keys.iter().any(|key| hmac::verify(key, &signed, &tag).is_ok()) {
            if now_s.saturating_sub(signed_s).saturating_abs() > TIMESTAMP_WITHIN_S {
                return Err(Doubt::Stale);
            }
            // Base64 has more than one form for the same bytes.
            return Ok(Proof { mark: to_hex(&tag), passes: true });
        }
    }
    Err(if known { Doubt::Wrong } else { Doubt::Malformed })
}

/// A header that is there once, as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Doubt> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(only), None) => only.to_str().map(Some).map_err(|_| Doubt::Malformed),
        (Some(_), Some(_)) => Err(Doubt::Malformed),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn githubs_own_example_is_believed() {
        // From GitHub's documentation of webhooks.
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let keys = [key("another secret of before"), key("It's a Secret to Everybody")];
        let check = |headers: &HeaderMap| super::check(&keys, headers, b"Hello, World!", 0);
        let proof = check(&headers(&[("x-hub-signature-256", good)])).unwrap();
        assert!(!proof.passes && good.ends_with(&proof.mark));
        assert_eq!(check(&HeaderMap::new()), Err(Doubt::Unsigned));
        let wrong = good.replace("757", "758");
        assert_eq!(check(&headers(&[("x-hub-signature-256", &wrong)])), Err(Doubt::Wrong));
        for malformed in ["sha1=00", "sha256=0", "sha256=zz", "757107", "sha256="] {
            let doubt = check(&headers(&[("x-hub-signature-256", malformed)])).unwrap_err();
            assert!([Doubt::Malformed, Doubt::Wrong].contains(&doubt), "{malformed}");
        }
        let twice = headers(&[("x-hub-signature-256", good), ("x-hub-signature-256", good)]);
        assert_eq!(check(&twice), Err(Doubt::Malformed), "which of the two counts is not guessed");
    }

    #[test]
    fn a_standard_webhook_is_believed_for_five_minutes() {
        let keys = [key("a secret of ours")];
        let tag = hmac::sign(&keys[0], b"msg_1.1000.{}");
        let signature = format!("v1a,x v1,{}", STANDARD.encode(tag.as_ref()));
        let headers = |signature: &str| {
            headers(&[
                ("webhook-id", "msg_1"),
                ("webhook-timestamp", "1000"),
                ("webhook-signature", signature),
            ])
        };
        let check = |signature: &str, now| super::check(&keys, &headers(signature), b"{}", now);
        assert!(check(&signature, 1_000).unwrap().passes);
        assert!(check(&signature, 1_300).is_ok() && check(&signature, 700).is_ok());
        assert_eq!(check(&signature, 1_301), Err(Doubt::Stale));
        assert_eq!(check(&signature, 699), Err(Doubt::Stale));
        assert_eq!(check("v1,AAAA", 1_000), Err(Doubt::Wrong));
        assert_eq!(check("v2,AAAA", 1_000), Err(Doubt::Malformed));
        assert_eq!(check("v1,?", 1_000), Err(Doubt::Malformed));
        assert_eq!(super::check(&keys, &headers(&signature), b"{} ", 1_000), Err(Doubt::Wrong));
    }
}
