pub(crate) mod nowpayments;
