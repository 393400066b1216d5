use rand::Rng;
use sha2::{Digest, Sha256};

/// What every key begins with, so that a leaked one is recognised for what it is.
const PREFIX: &str = "hf_live_";

/// A new API key: the secret, which is shown once and never stored, and the hash to store.
///
/// The secret is `hf_live_` and 64 hexadecimal digits, which are 256 random bits; so a plain
/// SHA-256 is as good as a slow hash.
pub fn new_key() -> (String, [u8; 32]) {
    let mut bits = [0_u8; 32];
    rand::rng().fill_bytes(&mut bits);
    let secret = format!("{PREFIX}{}", hex::encode(bits));
    let hash = key_hash(&secret);
    (secret, hash)
}

/// The hash under which a secret is stored.
pub fn key_hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::{key_hash, new_key};

    #[test]
    fn a_key_is_its_prefix_and_256_bits() {
        let (secret, hash) = new_key();
        assert_eq!(secret.len(), "hf_live_".len() + 64);
        assert_eq!(key_hash(&secret), hash);
        assert_ne!(new_key().0, secret);
    }
}
