"""HL7 v2 in both directions: messages that hospitals send, and those that they are sent."""
