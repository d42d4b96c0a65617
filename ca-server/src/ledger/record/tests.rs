use proptest::prelude::*;

use super::*;

fn fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        any::<bool>().prop_map(Fact::Flag),
        (0_u64..1 << 53).prop_map(Fact::Number),
        ".{0,40}".prop_map(Fact::Text),
    ]
}

fn leaf() -> impl Strategy<Value = Leaf> {
    (
        0_u64..1 << 53,
        prop::collection::btree_map("[ -~]{0,8}", fact(), 0..6),
        prop::sample::select(Kind::ALL),
        prop::collection::btree_map("[a-z-]{1,8}", any::<[u8; 32]>().prop_map(Hash), 0..3),
        0_u64..1 << 53,
    )
        .prop_map(|(epoch, facts, kind, parts, time)| Leaf {
            epoch,
            facts,
            kind: kind.name().to_owned(),
            parts,
            time: Timestamp::from_millis(time),
            v: VERSION,
        })
}

proptest! {
    #[test]
    fn a_leaf_survives_the_round_trip(leaf in leaf()) {
        let bytes = leaf.encode().unwrap();
        prop_assert_eq!(Leaf::decode(&bytes).unwrap(), leaf);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Leaf::decode(&bytes);
    }

    #[test]
    fn a_changed_byte_is_never_the_same_leaf(leaf in leaf(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let bytes = leaf.encode().unwrap();
        let mut changed = bytes.clone();
        let at = at.index(changed.len());
        changed[at] = with;
        prop_assume!(changed != bytes);
        if let Ok(other) = Leaf::decode(&changed) {
            prop_assert_ne!(other, leaf);
        }
    }

    #[test]
    fn text_of_a_stranger_comes_back_as_that_text_and_nothing_else(text in ".{0,200}") {
        let leaf = Leaf {
            epoch: 1,
            facts: BTreeMap::from([("role".to_owned(), Fact::Text(text.clone()))]),
            kind: "refused".to_owned(),
            parts: BTreeMap::new(),
            time: Timestamp::from_millis(1),
            v: VERSION,
        };
        let read = Leaf::decode(&leaf.encode().unwrap()).unwrap();
        prop_assert_eq!(read.facts.len(), 1);
        prop_assert_eq!(&read.facts["role"], &Fact::Text(text));
    }
}

#[test]
fn the_bytes_of_the_first_version_are_final() {
    let mut rng = entropy::seeded(1);
    let mut part = Part::new(PartName::Details, b"{\"a\":1}".to_vec(), &mut rng);
    part.salt = [7; 32];
    let entry = Draft::new(
        Kind::Certificate,
        1,
        Timestamp::from_millis(1_795_461_600_021),
    )
    .fact("serial", "9223372036854775807")
    .fact("outage", false)
    .fact("role", "a\"b\nc=d")
    .part(part)
    .finish()
    .unwrap();
    assert_eq!(
        String::from_utf8(entry.leaf).unwrap(),
        "{\"epoch\":1,\"facts\":{\"outage\":false,\"role\":\"a\\\"b\\nc=d\",\
         \"serial\":\"9223372036854775807\"},\"kind\":\"certificate\",\"parts\":{\"details\":\
         \"DETAILS\"},\"time\":1795461600021,\"v\":1}"
            .replace("DETAILS", &details_commitment())
    );
}

fn details_commitment() -> String {
    let mut salted = vec![7; 32];
    salted.extend_from_slice(b"{\"a\":1}");
    Hash::of(&salted).to_string()
}

#[test]
fn another_way_of_writing_the_same_leaf_is_refused() {
    let canonical =
        r#"{"epoch":1,"facts":{"a":1,"b":true},"kind":"admin","parts":{},"time":5,"v":1}"#;
    assert!(Leaf::decode(canonical.as_bytes()).is_ok());
    let others = [
        r#"{"epoch":1,"facts":{"b":true,"a":1},"kind":"admin","parts":{},"time":5,"v":1}"#,
        r#"{"epoch":1,"facts":{"a":1,"b":true}, "kind":"admin","parts":{},"time":5,"v":1}"#,
        r#"{"epoch":1,"facts":{"a":1,"a":1,"b":true},"kind":"admin","parts":{},"time":5,"v":1}"#,
        r#"{"v":1,"epoch":1,"facts":{"a":1,"b":true},"kind":"admin","parts":{},"time":5}"#,
        r#"{"epoch":1,"facts":{"a":1,"b":true},"kind":"\u0061dmin","parts":{},"time":5,"v":1}"#,
        r#"{"epoch":1,"facts":{"a":1.0,"b":true},"kind":"admin","parts":{},"time":5,"v":1}"#,
        r#"{"epoch":1,"facts":{"a":1,"b":true},"kind":"admin","parts":{},"time":5,"v":2}"#,
        r#"{"epoch":1,"facts":{"a":1,"b":true},"kind":"admin","parts":{},"time":5,"v":1,"x":1}"#,
        r#"{"epoch":1,"facts":{"a":9007199254740992},"kind":"admin","parts":{},"time":5,"v":1}"#,
        r#"{"epoch":1,"facts":{},"kind":"admin","parts":{"x":"AB"},"time":5,"v":1}"#,
        "",
    ];
    for other in others {
        assert!(Leaf::decode(other.as_bytes()).is_err(), "{other}");
    }
}

#[test]
fn a_leaf_that_would_be_too_long_is_not_written() {
    let long = Draft::new(Kind::Refused, 1, Timestamp::from_millis(1))
        .fact("reason", "x".repeat(MAX_LEAF))
        .finish();
    assert_eq!(long.unwrap_err(), LeafError::TooLong);
}
