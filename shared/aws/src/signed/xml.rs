//! Answers of the query protocol as a tree: lists within lists, all of elements named `item`.

/// An element: its text, or its children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document. `None`: its elements do not nest, or there is none.
    ///
    /// Attributes, comments and processing instructions are left out; the services send nothing in them.
    #[must_use]
    pub fn parse(document: &str) -> Option<Self> {
        let mut open: Vec<Self> = vec![Self::default()];
        let mut pieces = document.split('<');
        pieces.next();
        for piece in pieces {
            let (tag, text) = piece.split_once('>')?;
            if tag.starts_with(['?', '!']) {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                let closed = open.pop()?;
                if closed.name != name.trim_end() {
                    return None;
                }
                open.last_mut()?.children.push(closed);
                continue;
            }
            let name = tag.split([' ', '\t', '\n', '\r', '/']).next()?.to_owned();
            if tag.ends_with('/') {
                open.last_mut()?.children.push(Self {
                    name,
                    ..Self::default()
                });
            } else {
                open.push(Self {
                    name,
                    text: unescaped(text),
                    children: Vec::new(),
                });
            }
        }
        let root = open.pop()?;
        (open.is_empty() && root.children.len() == 1).then(|| root.children.into_iter().next())?
    }

    /// Every element at the end of this path of names, in order.
    pub fn all<'a>(&'a self, path: &[&str]) -> Vec<&'a Self> {
        path.iter().fold(vec![self], |found, name| {
            found
                .into_iter()
                .flat_map(|element| &element.children)
                .filter(|child| child.name == *name)
                .collect()
        })
    }

    /// The text of every element at the end of this path, in order. An empty one says nothing.
    pub fn texts(&self, path: &[&str]) -> Vec<String> {
        self.all(path)
            .into_iter()
            .map(|element| element.text.trim().to_owned())
            .filter(|text| !text.is_empty())
            .collect()
    }

    /// The text of the first element at the end of this path.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<String> {
        self.texts(path).into_iter().next()
    }
}

pub(super) fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_within_lists_are_told_apart() {
        let answer = "<?xml version=\"1.0\"?>\n<R xmlns=\"x\"><set><item><id>a</id><ranges><item><ip>1&amp;2</ip>\
            </item><item><ip>3</ip></item></ranges></item><item><id>b</id><ranges/></item></set></R>";
        let root = Element::parse(answer).unwrap();
        let items = root.all(&["set", "item"]);
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].texts(&["ranges", "item", "ip"]), ["1&2", "3"]);
        assert_eq!(items[1].text(&["id"]).as_deref(), Some("b"));
        assert!(items[1].texts(&["ranges", "item", "ip"]).is_empty());
    }

    #[test]
    fn what_does_not_nest_is_no_document() {
        for broken in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a></a></a>",
            "<a/><b/>",
            "<a",
        ] {
            assert_eq!(Element::parse(broken), None, "{broken}");
        }
    }
}
