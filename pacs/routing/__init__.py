"""Routing: studies go on to other AEs and DICOMweb nodes by rules, through a durable queue, within their bandwidth."""
