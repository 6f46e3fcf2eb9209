"""Where bytes live: packs, the journal's lanes on local disk, and (later) object stores."""
