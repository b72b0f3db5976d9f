//! The page as one text, which needs nothing else.

/// The whole page: the frame, with the style and the program put in.
pub(super) fn whole() -> &'static str {
    concat!(
        include_str!("page/head.html"),
        "<style>\n",
        include_str!("page/serve.css"),
        "</style>\n",
        include_str!("page/body.html"),
        "<script>\n",
        include_str!("page/serve.js"),
        "</script>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_no_address_outside_of_itself() {
        let page = whole();
        for outside in ["http://", "https://", "@import", "src=\"/", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (1, 1));
    }
}
