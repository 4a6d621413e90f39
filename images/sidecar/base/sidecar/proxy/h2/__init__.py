"""HTTP/2 in cleartext, with prior knowledge: towards clients, and towards an application that speaks it."""
