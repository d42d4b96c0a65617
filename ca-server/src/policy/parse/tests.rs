//! `[[tests]]`: a person who need not exist, and what is expected.

use super::Parser;
use crate::policy::error::{Fault, position};
use crate::policy::explain::Person;
use crate::policy::file::{ClaimFile, TestFile, Texts, WhoFile};
use crate::policy::tests::Test;

impl Parser<'_> {
    pub(super) fn test(&mut self, written: &TestFile) -> Option<Test> {
        let Some(who) = &written.who else {
            let what = "A test says of nobody whom it is about.";
            let suggestion = "Add who = { groups = [\"…\"] }.".to_owned();
            self.faults
                .add(written.at, Fault::Missing, what, suggestion);
            return None;
        };
        let before = self.faults.count();
        let expects = [
            &written.may,
            &written.may_not,
            &written.accounts,
            &written.rights,
        ];
        if expects.iter().all(|list| list.is_none()) {
            let what = "A test expects nothing.";
            let suggestion = "Add may, may_not, accounts or rights.".to_owned();
            self.faults
                .add(written.at, Fault::Missing, what, suggestion);
        }
        for (list, name) in [(&written.may, "may"), (&written.may_not, "may_not")] {
            if let Some(list) = list {
                self.not_empty(
                    list,
                    &format!("`{name}` of a test"),
                    "Name at least one role.",
                );
            }
        }
        let person = self.person(who)?;
        let source = match &written.source {
            Some(text) => {
                let address = text.value.parse().ok();
                if address.is_none() {
                    let what = format!("{:?} is no address.", text.value);
                    self.faults.add(text.at, Fault::BadValue, what, None);
                }
                address
            }
            None => None,
        };
        let places = |parser: &mut Self, list: &Option<Texts>| -> Vec<usize> {
            let names = list.iter().flat_map(|list| &list.value);
            names
                .filter_map(|name| parser.place("A test", name))
                .collect()
        };
        let (may, may_not) = (places(self, &written.may), places(self, &written.may_not));
        let accounts = written.accounts.as_ref().map(|list| {
            list.value
                .iter()
                .filter_map(|text| self.account(text))
                .collect()
        });
        let rights = written.rights.as_ref().map(|list| self.some_rights(list));
        let (line, column) = position(self.text, written.at);
        let at = written.at;
        let test = Test {
            at,
            line,
            column,
            person,
            source,
            may,
            may_not,
            accounts,
            rights,
        };
        (self.faults.count() == before).then_some(test)
    }

    pub(super) fn person(&mut self, who: &WhoFile) -> Option<Person> {
        let issuer = self.issuer("`who` of a test", who.issuer.as_ref(), who.at)?;
        let mut person = Person::of(&issuer.issuer);
        if let Some(subject) = &who.subject {
            self.plain(subject, "A subject")?;
            person.subject.clone_from(&subject.value);
        }
        if let Some(written) = &who.email {
            self.said("email", written.at, &issuer)?;
            person.email = Some(self.email(written)?);
        }
        if let Some(groups) = &who.groups {
            if !groups.value.is_empty() {
                self.said("groups", groups.at, &issuer)?;
            }
            person.groups = groups
                .value
                .iter()
                .map(|group| group.value.clone())
                .collect();
        }
        for ClaimFile { name, value } in who.claims.iter().flat_map(|claims| &claims.value) {
            self.claim_name(name)?;
            self.said(&name.value, name.at, &issuer)?;
            person.say(&name.value, value.clone());
        }
        Some(person)
    }
}
