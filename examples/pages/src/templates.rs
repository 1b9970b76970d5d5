//! The pages: files in which `{{…}}` is replaced. (A larger application takes a template engine.)

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// All templates, read once for each build.
#[derive(Clone, Debug)]
pub(crate) struct Templates(Arc<Files>);

#[derive(Debug)]
struct Files {
    page: String,
    login: String,
    home: String,
}

impl Templates {
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let read = |name| {
            let file = folder.join(name);
            fs::read_to_string(&file)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
        };
        Ok(Self(Arc::new(Files {
            page: read("page.html")?,
            login: read("login.html")?,
            home: read("home.html")?,
        })))
    }

    pub(crate) fn login(&self) -> String {
        self.page("Sign in", &self.0.login)
    }

    pub(crate) fn home(&self, name: &str, visits: u32) -> String {
        // The name comes last, so that what is in it is not replaced.
        let body = self.0.home.replace("{{visits}}", &visits.to_string()).replace("{{name}}", &escape(name));
        self.page("Welcome", &body)
    }

    fn page(&self, title: &str, body: &str) -> String {
        self.0.page.replace("{{title}}", title).replace("{{body}}", body)
    }
}

/// Text as it is written in HTML.
fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text() {
        let templates = Templates::read("templates".as_ref()).expect("read");
        let page = templates.home("<script>{{visits}}&", 3);
        assert!(page.contains("&lt;script&gt;{{visits}}&amp;") && page.contains(">3<"), "{page}");
    }
}
