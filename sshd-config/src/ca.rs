//! What the CA says, believed only under the pinned identity key.
