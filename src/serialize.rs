//! What is answered, for programs: the feature `serde`.
//!
//! What is written is a promise: a test holds it literally. `version` is 1, and changes only when a
//! field changes its meaning or goes away, while fields may be added. An absent field is written as
//! null. There is no `Deserialize`: an identity that was read from somewhere proves nothing.

use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use crate::error::{Error, ErrorKind, Reason};
use crate::info::{PartnerInfo, PartnerRequest, Routing, UserId};

/// The version of what is written.
const VERSION: u32 = 1;

impl Serialize for PartnerInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = serializer.serialize_struct("PartnerInfo", 5)?;
        form.serialize_field("version", &VERSION)?;
        form.serialize_field("user", &self.user())?;
        form.serialize_field("process_user", &self.process_user())?;
        form.serialize_field("token", &self.token())?;
        form.serialize_field("routing", &self.routing())?;
        form.end()
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = serializer.serialize_struct("UserId", 2)?;
        form.serialize_field("uid", &self.uid())?;
        form.serialize_field("name", &self.name())?;
        form.end()
    }
}

/// The flags that are set, each by its name.
fn names<S: Serializer, T: Copy>(
    serializer: S,
    all: &[(T, &str)],
    is_set: impl Fn(T) -> bool,
) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(None)?;
    for (_, name) in all.iter().filter(|(flag, _)| is_set(*flag)) {
        list.serialize_element(name)?;
    }
    list.end()
}

impl Serialize for Routing {
    /// A list of the flags that are set; an empty one is "no connection".
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = [
            (Self::NONE, "none"),
            (Self::SAME_CLUSTER, "same-cluster"),
            (Self::SAME_IMAGE, "same-image"),
            (Self::INTERNAL, "internal"),
        ];
        names(serializer, &all, |flag| self.contains(flag))
    }
}

impl Serialize for PartnerRequest {
    /// A list of what is requested.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = [(Self::USER_ID, "user-id"), (Self::UTOKEN, "utoken")];
        names(serializer, &all, |flag| self.contains(flag))
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = serializer.serialize_struct("Error", 5)?;
        form.serialize_field("version", &VERSION)?;
        form.serialize_field("kind", &self.kind())?;
        form.serialize_field("errno", &self.raw_os_error())?;
        form.serialize_field("reason", &self.reason())?;
        form.serialize_field("message", &self.to_string())?;
        form.end()
    }
}

impl Serialize for ErrorKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::info::Credentials;

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn what_is_written_is_a_promise() {
        let found = Credentials {
            covers: PartnerRequest::all(),
            user: Some(UserId::new(1000, Some("alice".into()))),
            process_user: Some(UserId::new(0, None)),
            token: Some(Arc::new(crate::token::tests::token_of(1000, 0))),
            name_late: false,
            routing: Routing::SAME_STACK,
        };
        let user = PartnerInfo::new(found.clone(), PartnerRequest::USER_ID);
        assert_eq!(
            json(&user),
            r#"{"version":1,"user":{"uid":1000,"name":"alice"},"process_user":null,"token":null,"#
                .to_owned()
                + r#""routing":["same-cluster","same-image","internal"]}"#
        );
        let all: serde_json::Value =
            serde_json::from_str(&json(&PartnerInfo::new(found, PartnerRequest::all()))).unwrap();
        assert_eq!(all["process_user"], serde_json::json!({"uid": 0, "name": null}));
        assert_eq!((&all["token"]["version"], &all["token"]["user"]), (&1.into(), &1000.into()));

        assert_eq!(json(&Routing::NO_CONNECTION), "[]");
        assert_eq!(json(&Routing::NONE), r#"["none"]"#);
        assert_eq!(json(&PartnerRequest::all()), r#"["user-id","utoken"]"#);
        assert_eq!(
            json(&Error::unidentified(Reason::PartnerGone)),
            r#"{"version":1,"kind":"unidentified","errno":3,"reason":"partner-gone","message":"#
                .to_owned()
                + r#""unidentified: the partner has closed its socket, and nobody owns what is left"}"#
        );
    }
}
