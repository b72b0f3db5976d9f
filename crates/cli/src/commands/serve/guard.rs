//! Who may ask: programs of this machine and the page itself, not pages of other sites that happen to be open in the same browser.

use std::net::IpAddr;

use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN},
};

/// A refusal: the status, and the reason.
pub(super) type Refusal = (StatusCode, String);

/// Refuses names that are not this server's.
///
/// A page of another site can give its own name the address of this machine (DNS rebinding), and would then be of the same origin as this
/// server. It cannot do so with a number, nor with `localhost`. Any port is fine, since a tunnel has one of its own.
///
/// # Errors
/// 403, or 400 where there is no such header, or several.
pub(super) fn check_host(headers: &HeaderMap, address: IpAddr) -> Result<(), Refusal> {
    let host = only(headers, HOST).ok_or((StatusCode::BAD_REQUEST, "one Host header is needed".to_owned()))?;
    let name = name_of(host);
    let number = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let ours = match number {
        Some(number) => number.is_loopback() || number == address || address.is_unspecified(),
        None => name.eq_ignore_ascii_case("localhost"),
    };
    if ours {
        return Ok(());
    }
    let shown: String = host.chars().take(80).collect();
    let known =
        if address.is_loopback() { "localhost or 127.0.0.1".to_owned() } else { format!("localhost or {address}") };
    Err((StatusCode::FORBIDDEN, format!("this server is not called {shown:?}: it answers to {known}")))
}

/// Refuses what a page of another site has sent: browsers say where it comes from.
///
/// # Errors
/// 403.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let origins = headers.get_all(ORIGIN).iter().count();
    let own = only(headers, ORIGIN).zip(only(headers, HOST)).is_some_and(|(origin, host)| {
        let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        place.is_some_and(|place| place.eq_ignore_ascii_case(host))
    });
    if origins == 0 || own {
        return Ok(());
    }
    Err((StatusCode::FORBIDDEN, "pages of other sites may not ask for anything (Origin)".to_owned()))
}

/// Refuses bodies of other types, which a page of another site could send without being asked first.
///
/// # Errors
/// 415.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = only(headers, CONTENT_TYPE).and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err((
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "the body has to be JSON: send the header Content-Type: application/json".to_owned(),
    ))
}

/// The value of a header that stands there once.
pub(super) fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.chars().all(|digit| digit.is_ascii_digit()) => {
            // `::1` alone is no host with a port.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let at = |address: &str, host| check_host(&headers(&[(HOST, host)]), address.parse().unwrap());
        for host in ["localhost", "LocalHost:7860", "127.0.0.1", "127.0.0.1:80", "[::1]:7860", "[::1]", "127.8.9.1"] {
            at("127.0.0.1", host).unwrap();
        }
        for host in [
            "example.org",
            "localhost.example.org:7860",
            "127.0.0.1.example.org",
            "192.168.0.3:7860",
            "",
            ":80",
            "localhost:80:90",
            "127.0.0.1@example.org",
        ] {
            assert_eq!(at("127.0.0.1", host).unwrap_err().0, StatusCode::FORBIDDEN, "{host}");
        }
        at("192.168.0.3", "192.168.0.3:7860").unwrap();
        at("0.0.0.0", "192.168.0.3").unwrap();
        at("::", "[fe80::1]:7860").unwrap();
        at("192.168.0.3", "192.168.0.4").unwrap_err();
        at("0.0.0.0", "example.org").unwrap_err();
        let none = check_host(&HeaderMap::new(), [127, 0, 0, 1].into());
        let two = check_host(&headers(&[(HOST, "localhost"), (HOST, "localhost")]), [127, 0, 0, 1].into());
        assert_eq!([none, two].map(|result| result.unwrap_err().0), [StatusCode::BAD_REQUEST; 2]);
    }

    #[test]
    fn other_origins_and_other_types_are_refused() {
        let host = (HOST, "localhost:7860");
        check_origin(&headers(std::slice::from_ref(&host))).unwrap();
        check_origin(&headers(&[host.clone(), (ORIGIN, "http://localhost:7860")])).unwrap();
        for origin in [
            "http://localhost:7861",
            "http://127.0.0.1:7860",
            "null",
            "",
            "file://localhost:7860",
            "https://example.org",
        ] {
            check_origin(&headers(&[host.clone(), (ORIGIN, origin)])).unwrap_err();
        }
        let twice = [host, (ORIGIN, "http://localhost:7860"), (ORIGIN, "https://example.org")];
        check_origin(&headers(&twice)).unwrap_err();
        check_type(&headers(&[(CONTENT_TYPE, "Application/JSON; charset=utf-8")])).unwrap();
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            assert_eq!(
                check_type(&headers(&[(CONTENT_TYPE, kind)])).unwrap_err().0,
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            );
        }
        check_type(&HeaderMap::new()).unwrap_err();
    }
}
