"""The Storage SCP against DCMTK's senders: what arrives is kept byte for byte, and each refusal has its status."""
