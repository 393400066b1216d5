//! What is read out of a signed text, and what is refused there.

use super::super::{
    Callback, DecimalError, DecimalText, FactsError, Form, PaymentFacts, PaymentStatus, PayoutFacts, PayoutStatus,
};
use super::{read, verify_as};

fn payment(body: &str) -> PaymentFacts {
    match read(body) {
        Ok(Callback::Payment(facts)) => facts,
        other => panic!("{body} is not a payment: {other:?}"),
    }
}

fn payout(body: &str) -> PayoutFacts {
    match read(body) {
        Ok(Callback::Payout(facts)) => facts,
        other => panic!("{body} is not a payout: {other:?}"),
    }
}

/// A payment with one field more, as a JSON member.
fn with(member: &str) -> String {
    format!(r#"{{"payment_id":1,"payment_status":"waiting",{member}}}"#)
}

fn decimal(text: &str) -> Option<DecimalText> {
    text.parse().ok()
}

#[test]
fn a_payment_is_read_whole() {
    let facts = payment(
        r#"{"actually_paid":13,"outcome_amount":"1.633459e-2","outcome_currency":"BNBBSC","order_id":"hf_\u0031",
        "parent_payment_id":"5800000001","pay_address":"0x01","pay_amount":13.0,"pay_currency":"usdtbsc",
        "payment_id":5800000003,"payment_status":"Partially_Paid","updated_at":1765249461097}"#,
    );
    let expected = PaymentFacts {
        payment_id: "5800000003".to_owned(),
        parent_payment_id: Some("5800000001".to_owned()),
        status: PaymentStatus::PartiallyPaid,
        order_id: Some("hf_1".to_owned()),
        pay_address: Some("0x01".to_owned()),
        pay_amount: decimal("13"),
        actually_paid: decimal("13"),
        pay_currency: Some("usdtbsc".to_owned()),
        outcome_amount: decimal("0.01633459"),
        outcome_currency: Some("bnbbsc".to_owned()),
    };
    assert_eq!(facts, expected);
    let key = "10:5800000003,14:partially_paid,10:0.01633459,6:bnbbsc,2:13,4:hf_1,";
    assert_eq!(facts.fact_key(), key);
}

#[test]
fn a_payout_is_read_whole() {
    let facts = payout(
        r#"{"id":"5000000001","batch_withdrawal_id":5000000713,"status":"FINISHED","error":null,"currency":"XRP",
        "amount":"50.000000","address":"rN7","fee":0.20,"extra_id":77,"hash":"AB","updated_at":null}"#,
    );
    let expected = PayoutFacts {
        id: "5000000001".to_owned(),
        batch_withdrawal_id: "5000000713".to_owned(),
        status: PayoutStatus::Finished,
        currency: Some("xrp".to_owned()),
        amount: decimal("50"),
        address: Some("rN7".to_owned()),
        extra_id: Some("77".to_owned()),
        fee: decimal("0.2"),
        hash: Some("AB".to_owned()),
        error: None,
    };
    assert_eq!(facts, expected);
    let key = "10:5000000001,10:5000000713,8:finished,3:xrp,2:50,3:rN7,2:77,3:0.2,2:AB,";
    assert_eq!(facts.fact_key(), key);
}

#[test]
fn absent_null_and_empty_are_one() {
    let bare = payment(r#"{"payment_id":1,"payment_status":"waiting"}"#);
    assert_eq!(bare.fact_key(), "1:1,7:waiting,-,-,-,-,");
    for member in [r#""outcome_amount":null"#, r#""order_id":"""#, r#""outcome_currency":"""#] {
        assert_eq!(payment(&with(member)), bare, "{member}");
    }
}

#[test]
fn the_same_news_has_the_same_key_and_other_news_another() {
    let base = r#""outcome_amount":0.50,"outcome_currency":"btc","actually_paid":1"#;
    let key = payment(&with(base)).fact_key();
    let same = [
        r#""outcome_amount":"0.5","outcome_currency":"BTC","actually_paid":"1.0""#,
        r#""outcome_amount":5e-1,"outcome_currency":"btc","actually_paid":1,"updated_at":9"#,
    ];
    for member in same {
        assert_eq!(payment(&with(member)).fact_key(), key, "{member}");
    }
    let other = [
        r#""outcome_amount":0.51,"outcome_currency":"btc","actually_paid":1"#,
        r#""outcome_amount":0.50,"outcome_currency":"eth","actually_paid":1"#,
        r#""outcome_amount":0.50,"outcome_currency":"btc","actually_paid":2"#,
        r#""outcome_amount":0.50,"outcome_currency":"btc""#,
        r#""outcome_amount":0.50,"outcome_currency":"btc","actually_paid":1,"order_id":"x""#,
        r#""outcome_amount":0.50,"outcome_currency":"btc,1:1","actually_paid":1"#,
    ];
    for member in other {
        assert_ne!(payment(&with(member)).fact_key(), key, "{member}");
    }
}

#[test]
fn ids_are_plain_digits() {
    let spellings = [
        "12e3",
        "1.0",
        "-1",
        "01",
        "1E0",
        r#"" 12""#,
        r#""12 ""#,
        r#""12e3""#,
        r#""1.0""#,
        r#""+1""#,
        r#""-1""#,
        r#""007""#,
        r#""""#,
        r#""0x1""#,
        r#""١""#,
        r#""1\u0000""#,
        r#""a""#,
    ];
    for spelled in spellings {
        let body = format!(r#"{{"payment_id":{spelled},"payment_status":"waiting"}}"#);
        match verify_as(&body, &body) {
            Ok(signed) => {
                let refused = Callback::read(&signed);
                assert_eq!(refused, Err(FactsError::NotAnId { field: "payment_id" }), "{spelled}");
            }
            // A leading zero is no JSON to begin with.
            Err(refusal) => assert_eq!((refusal.code(), spelled), ("not_json", "01")),
        }
    }
    for spelled in ["true", "[1]", r#"{"a":1}"#] {
        let body = format!(r#"{{"payment_id":{spelled},"payment_status":"waiting"}}"#);
        assert_eq!(read(&body), Err(FactsError::WrongType { field: "payment_id" }), "{spelled}");
    }
    let long = format!(r#"{{"payment_id":"{}","payment_status":"waiting"}}"#, "9".repeat(33));
    assert_eq!(read(&long), Err(FactsError::NotAnId { field: "payment_id" }));
    let escaped = payment(r#"{"payment_id":"\u0031","payment_status":"waiting"}"#);
    assert_eq!(escaped.payment_id, "1");
}

#[test]
fn integers_are_refused_from_two_to_the_53_on_where_a_double_was_signed() {
    let read_as = |body: &str, signed: &str| {
        let signed = verify_as(body, signed).unwrap();
        (signed.form(), Callback::read(&signed))
    };
    let imprecise = |field| Err(FactsError::Imprecise { field });

    // The double that stands for ...993 prints as ...992: whose id is it?
    let body = r#"{"payment_id":9007199254740993,"payment_status":"waiting"}"#;
    let signed = r#"{"payment_id":9007199254740992,"payment_status":"waiting"}"#;
    assert_eq!(read_as(body, signed), (Form::EcmaScript, imprecise("payment_id")));
    assert!(matches!(read_as(body, body), (Form::Raw, Ok(Callback::Payment(_)))));

    let body = r#"{"payment_id":1,"payment_status":"waiting","outcome_amount":1e21}"#;
    let signed = r#"{"outcome_amount":1e+21,"payment_id":1,"payment_status":"waiting"}"#;
    assert_eq!(read_as(body, signed), (Form::EcmaScript, imprecise("outcome_amount")));

    let body =
        r#"{"payment_extra_ids":[1],"payment_id":1,"payment_status":"waiting","pay_amount":1000000000000000000}"#;
    let signed =
        r#"{"pay_amount":1000000000000000000,"payment_extra_ids":{"0":1},"payment_id":1,"payment_status":"waiting"}"#;
    assert_eq!(read_as(body, signed), (Form::EcmaScriptIndexed, imprecise("pay_amount")));
    // The same amount is exact where its own token was signed.
    let signed =
        r#"{"pay_amount":1000000000000000000,"payment_extra_ids":[1],"payment_id":1,"payment_status":"waiting"}"#;
    assert!(matches!(read_as(body, signed), (Form::Sorted, Ok(Callback::Payment(_)))));

    // The last safe integer, a fraction and a string are all what was sent.
    let body =
        r#"{"payment_id":9007199254740991,"payment_status":"waiting","pay_amount":0.10,"order_id":"9007199254740993"}"#;
    let signed =
        r#"{"order_id":"9007199254740993","pay_amount":0.1,"payment_id":9007199254740991,"payment_status":"waiting"}"#;
    let (form, callback) = read_as(body, signed);
    assert_eq!(form, Form::EcmaScript);
    assert!(matches!(callback, Ok(Callback::Payment(facts)) if facts.payment_id == "9007199254740991"));
}

#[test]
fn amounts_are_decimals_of_zero_or_more() {
    let cases = [
        (r#""pay_amount":-1"#, "negative"),
        (r#""pay_amount":"-0.1""#, "negative"),
        (r#""outcome_amount":"1,5""#, "not_an_amount"),
        (r#""outcome_amount":"""#, "not_an_amount"),
        (r#""outcome_amount":1e999"#, "not_an_amount"),
        (r#""outcome_amount":"NaN""#, "not_an_amount"),
        (r#""actually_paid":true"#, "wrong_type"),
        (r#""actually_paid":[1]"#, "wrong_type"),
    ];
    for (member, code) in cases {
        assert_eq!(read(&with(member)).unwrap_err().code(), code, "{member}");
    }
    let long = FactsError::NotAnAmount { field: "pay_amount", source: DecimalError::TooLong };
    assert_eq!(read(&with(r#""pay_amount":1e60"#)), Err(long));
    assert_eq!(payment(&with(r#""pay_amount":-0.0"#)).pay_amount, decimal("0"));
}

#[test]
fn texts_are_storable_and_bounded() {
    let cases = [
        (r#""order_id":"a\u0000b""#.to_owned(), "not_text"),
        (r#""order_id":"\ud800""#.to_owned(), "not_text"),
        (format!(r#""order_id":"{}""#, "x".repeat(257)), "too_long"),
        (format!(r#""pay_currency":"{}""#, "x".repeat(33)), "too_long"),
        (r#""pay_currency":1"#.to_owned(), "wrong_type"),
        (r#""order_id":{}"#.to_owned(), "wrong_type"),
        (r#""order_id":1.5"#.to_owned(), "not_an_id"),
    ];
    for (member, code) in cases {
        assert_eq!(read(&with(&member)).unwrap_err().code(), code, "{member}");
    }
    assert_eq!(payment(&with(r#""order_id":42"#)).order_id.as_deref(), Some("42"));
    let order = payment(&with(r#""order_id":"\"\u00e9\ud83d\ude80\t""#)).order_id;
    assert_eq!(order.as_deref(), Some("\"é\u{1f680}\t"));
}

#[test]
fn an_unknown_status_is_told_and_not_dropped() {
    let unknown = |field, status: &str| Err(FactsError::UnknownStatus { field, status: status.to_owned() });
    let body = r#"{"payment_id":1,"payment_status":"wrong_asset_confirmed"}"#;
    assert_eq!(read(body), unknown("payment_status", "wrong_asset_confirmed"));
    let body = r#"{"id":"1","batch_withdrawal_id":"2","status":"EXPIRED"}"#;
    assert_eq!(read(body), unknown("status", "EXPIRED"));
    assert_eq!(read(r#"{"payment_id":1}"#), Err(FactsError::Missing { field: "payment_status" }));
}

#[test]
fn a_callback_is_of_one_kind() {
    let both = r#"{"payment_id":1,"payment_status":"finished","id":"1","batch_withdrawal_id":"2","status":"FINISHED"}"#;
    assert_eq!(read(both), Err(FactsError::Ambiguous));
    assert!(matches!(read(&with(r#""batch_withdrawal_id":null"#)), Ok(Callback::Payment(_))));
    for body in ["[]", "1", "null", "{}", r#"{"id":"1","status":"FINISHED"}"#, r#"{"fee":{"payment_id":1}}"#] {
        assert_eq!(read(body), Ok(Callback::Other), "{body}");
    }
    assert_eq!(read(r#"{"payment_id":null}"#), Err(FactsError::Missing { field: "payment_id" }));
    assert_eq!(read(r#"{"payment_status":"finished"}"#), Err(FactsError::Missing { field: "payment_id" }));
    let payout = r#"{"id":null,"batch_withdrawal_id":"2","status":"FINISHED"}"#;
    assert_eq!(read(payout), Err(FactsError::Missing { field: "id" }));
}

#[test]
fn a_payout_fee_of_an_undocumented_type_holds_nothing_up() {
    let body = |fee: &str| format!(r#"{{"id":"1","batch_withdrawal_id":"2","status":"FINISHED","fee":{fee}}}"#);
    for fee in [r#"{"amount":1}"#, "[]", "null", "true"] {
        assert_eq!(payout(&body(fee)).fee, None, "{fee}");
    }
    assert_eq!(payout(&body(r#""0.10""#)).fee, decimal("0.1"));
}

#[test]
fn statuses_have_one_word_and_a_rank() {
    for status in PaymentStatus::ALL {
        assert_eq!(PaymentStatus::parse(status.as_str()), Some(status));
        assert_eq!(PaymentStatus::parse(&status.as_str().to_uppercase()), Some(status));
        assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
    }
    for status in PayoutStatus::ALL {
        assert_eq!(PayoutStatus::parse(&status.as_str().to_uppercase()), Some(status));
        assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
    }
    let ranks: Vec<u8> = PaymentStatus::ALL.into_iter().map(PaymentStatus::rank).collect();
    assert_eq!(ranks, [0, 1, 1, 2, 3, 4, 5, 6, 6, 7]);
    let credits: Vec<_> = PaymentStatus::ALL.into_iter().filter(|status| status.credits()).collect();
    assert_eq!(credits, [PaymentStatus::PartiallyPaid, PaymentStatus::Finished]);
    let last: Vec<_> = PayoutStatus::ALL.into_iter().filter(|status| status.is_final()).collect();
    assert_eq!(last, [PayoutStatus::Rejected, PayoutStatus::Finished]);
}
