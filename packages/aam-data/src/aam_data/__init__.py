"""aam_data"""
